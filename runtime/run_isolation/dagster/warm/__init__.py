"""Warm starts: runs and their steps are forked from a process that has imported everything.

``template`` is that process, a child of the server; ``keeper`` looks after one run of it;
``context`` is what Dagster makes processes with; ``detection`` finds what makes a fork unsafe;
``start`` puts it all into Dagster's server. The mechanism is explained in
docs/decisions/24-warm-start.md.
"""
