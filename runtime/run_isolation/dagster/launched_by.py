"""Who launched a run: known from the call that submits it, not guessed from tags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from dagster._core.launcher import LaunchRunContext
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.storage.tags import (
    AUTO_MATERIALIZE_TAG,
    AUTO_OBSERVE_TAG,
    AUTOMATION_CONDITION_TAG,
    BACKFILL_ID_TAG,
    RETRY_NUMBER_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
)

from run_isolation.slots.decision import LaunchedBy

_AUTOMATED: Final = {
    BACKFILL_ID_TAG: LaunchedBy.BACKFILL,
    RETRY_NUMBER_TAG: LaunchedBy.RETRY,
    AUTOMATION_CONDITION_TAG: LaunchedBy.AUTOMATION,
    AUTO_MATERIALIZE_TAG: LaunchedBy.AUTOMATION,
    AUTO_OBSERVE_TAG: LaunchedBy.AUTOMATION,
    SCHEDULE_NAME_TAG: LaunchedBy.SCHEDULE,
    SENSOR_NAME_TAG: LaunchedBy.SENSOR,
}
"""Tags that Dagster itself puts on runs that nobody launched; the first one found counts."""

_by_hand: ContextVar[bool] = ContextVar("run_isolation_by_hand", default=False)


@contextmanager
def by_hand() -> Iterator[None]:
    """Runs submitted in this context, by this process, are launched by hand.

    For command lines and scripts that a person starts. Launches from the page are known anyway.
    """
    token = _by_hand.set(True)
    try:
        yield
    finally:
        _by_hand.reset(token)


def launched_by(context: SubmitRunContext | LaunchRunContext) -> LaunchedBy:
    """Who launched the run.

    Dagster's webserver hands its web request on as the workspace's source. Schedules, sensors,
    retries and the daemon's backfills have none; a backfill that the webserver submits itself has
    its tag (dagster/_core/workspace/context.py, dagster/_core/execution/job_backfill.py). Other
    tags say nothing then: a scheduled run that a person executes again keeps the schedule's name
    (dagster/_core/instance/runs/run_domain.py, create_reexecuted_run).
    """
    tags = context.dagster_run.tags
    source = getattr(context.workspace, "source", None)
    if (_by_hand.get() or hasattr(source, "headers")) and BACKFILL_ID_TAG not in tags:
        return LaunchedBy.HAND
    return next((who for tag, who in _AUTOMATED.items() if tag in tags), LaunchedBy.OTHER)
