"""Warm starts: runs and their steps are forked from a process that has imported everything.

``template`` is that process, a child of the server, and ``spawner`` another one, for runs that get
an interpreter of their own after all; ``keeper`` looks after one run of either; ``fork_context`` is
what Dagster makes processes with, and ``kept_popen`` one of them; ``run_patches`` spare a run what
it need not do; ``detection`` finds what makes a fork unsafe; ``start`` puts it all into Dagster's
server. The mechanism is explained in docs/decisions/24-warm-start.md.

Each module says at its head in which processes it runs: the server, its children the template and
the spawner, the keeper of one run, the run, and a step of it where the executor gives each a
process.
"""
