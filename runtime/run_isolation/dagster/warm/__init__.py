"""Warm starts: runs and their steps are forked from a process that has imported everything.

``template`` is that process, a child of the server; ``keeper`` looks after one run of it;
``fork_context`` is what Dagster makes processes with; ``run_patches`` spare a run what it need not
do; ``detection`` finds what makes a fork unsafe; ``start`` puts it all into Dagster's server. The
mechanism is explained in docs/decisions/24-warm-start.md.

Each module says at its head in which of five processes it runs: the server, its child the template,
the keeper of one run, the run, and a step of it where the executor gives each a process.
"""
