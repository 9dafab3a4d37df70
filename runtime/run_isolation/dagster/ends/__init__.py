"""Ends: what becomes of a run's processes when the run is over, of whatever kind it is.

Each run's process has a keeper as its parent, which ends what the run leaves behind: ``own_keeper``
forks one off for runs that are spawned or isolated, ``warm.keeper`` is that of forked runs.
``process_end`` is in the run's own processes: it bounds the time between the end of a run, or of a
step, and that of its process, and says on the run what was left. ``forked_copies`` keeps what user
code forks from writing into the run. The rules are in
docs/decisions/29-what-a-run-leaves-behind.md.
"""
