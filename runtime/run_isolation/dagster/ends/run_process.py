"""The process of a non-isolated run, forked or spawned: what it executes, and who makes it.

Runs in: run; server, which has it made.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.context import BaseContext
from typing import Any, Final

from dagster._grpc import impl
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import deserialize_value

from run_isolation.dagster import pool_limits
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.ends.process_end import ProcessEnd, looked_after
from run_isolation.dagster.patching import SeamError, replaced

_NAME: Final = "start_run_in_subprocess"
_CONTEXT: Final = "_mp_ctx"

_log: Final = logging.getLogger("dagster.code_server")
_start_run: Final[Any] = getattr(impl, _NAME, None)


def start_run(serialized: str, job: Any, event_queue: Any, termination_event: Any) -> None:
    """What the process of a non-isolated run executes: Dagster's ``start_run_in_subprocess``."""
    asked = deserialize_value(serialized, ExecuteExternalJobArgs)
    assert asked.instance_ref is not None  # noqa: S101  # Dagster's server has checked it
    end = ProcessEnd(asked.instance_ref, asked.run_id)
    with pool_limits.kept(Deployment()), looked_after(end):
        _start_run(serialized, job, event_queue, termination_event)
        end.exit_code = 0


@contextmanager
def installed() -> Iterator[None]:
    """Has Dagster's server start runs by ``start_run``."""
    import dagster._grpc.server  # which runs have no use for

    with ExitStack() as seams:
        try:
            seams.enter_context(replaced(dagster._grpc.server, _NAME, start_run))
        except SeamError as error:
            _log.warning("What runs leave behind is not told, and may hold them up. %s", error)
        yield


def make_processes(servicer: Any, context: BaseContext) -> None:
    """Has a servicer of Dagster's make the processes of runs by a context of ours.

    Args:
        servicer: Which makes them by its ``_mp_ctx``.
        context: Forks or spawns them.
    """
    if hasattr(servicer, _CONTEXT):
        setattr(servicer, _CONTEXT, context)
        return
    _log.warning(
        "Runs are spawned as Dagster does, not forked from a warm process, and have no keeper: the "
        "servicer of this version of Dagster has no %s.",
        _CONTEXT,
    )
