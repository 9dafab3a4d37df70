"""Processes of runs, as Linux sees them: which there are, what they take, how all of them end.

``of_a_run`` finds a run's processes, ``children`` learns of the ends of this process's own,
``leftovers`` ends all below this one, and ``linux`` has the calls that Python has no names for.
"""
