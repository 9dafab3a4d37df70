"""What the coordinator finds out about a run that is submitted, before it decides its kind.

``queue_limits`` tells which limit of Dagster's own queue applies to it, ``history`` what its job's
recent runs needed. Who launched it is in ``launched_by``, beside this package: scripts may use it.
"""
