"""Launching runs of either kind, and what becomes of them: what the launcher calls.

``isolated_launch`` makes an ``attempt``, ``isolated_runs`` looks after its task;
``non_isolated_start`` asks standing servers, ``non_isolated_runs`` looks after the process there.
"""
