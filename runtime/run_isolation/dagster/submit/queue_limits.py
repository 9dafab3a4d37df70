"""Which limit of Dagster's own run queue applies to a run.

Those limits live in the daemon's dequeue loop only
(dagster/_daemon/run_coordinator/queued_run_coordinator_daemon.py). A run that goes past the queue
would go past them, and looking whether there is room would race with the daemon. So a run that a
tag limit or a run-granular pool names always takes the queue. ``max_concurrent_runs`` names every
run: it counts once it is reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.instance.config import PoolGranularity

_COUNTED: Final = [
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
"""Dagster's ACTIVE_RUN_STATUSES, which 1.13.20 does not have by that name."""


def queue_limit(instance: DagsterInstance, run: DagsterRun) -> str | None:
    """The first limit that applies, as the user would call it, or None."""
    config = instance.get_concurrency_config()
    queue = config.run_queue_config
    if queue is None:
        return None
    for limit in queue.tag_concurrency_limits:
        if _names(limit, run.tags):
            value = limit.get("value")
            return f"tag limit {limit['key']}" + (f"={value}" if isinstance(value, str) else "")
    if config.pool_config.pool_granularity is PoolGranularity.RUN:
        for pool in sorted(_limited_pools(instance, run)):
            return f"pool {pool}, limited by run"
    most = queue.max_concurrent_runs
    if most >= 0 and instance.get_runs_count(RunsFilter(statuses=_COUNTED)) >= most:
        return f"max_concurrent_runs={most}, which is reached"
    return None


def _names(limit: Mapping[str, Any], tags: Mapping[str, str]) -> bool:
    """Whether a tag limit is about a run with these tags, as Dagster's counter reads it."""
    if limit["key"] not in tags:
        return False
    value = limit.get("value")
    return not isinstance(value, str) or tags[limit["key"]] == value


def _limited_pools(instance: DagsterInstance, run: DagsterRun) -> set[str]:
    pools = set((run.run_op_concurrency and run.run_op_concurrency.all_pools) or ())
    if not pools or instance.global_op_concurrency_default_limit:
        return pools
    return pools & {pool.name for pool in instance.event_log_storage.get_pool_limits()}
