"""What the process of a non-isolated run executes, forked or spawned.

Runs in: run.
"""

from __future__ import annotations

from typing import Any, Final

from dagster._grpc import impl
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import deserialize_value

from run_isolation.dagster import pool_limits
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.ends.process_end import ProcessEnd, looked_after

_start_run: Final[Any] = impl.start_run_in_subprocess


def start_run(serialized: str, job: Any, event_queue: Any, termination_event: Any) -> None:
    """What the process of a non-isolated run executes: Dagster's ``start_run_in_subprocess``."""
    asked = deserialize_value(serialized, ExecuteExternalJobArgs)
    assert asked.instance_ref is not None  # noqa: S101  # Dagster's server has checked it
    end = ProcessEnd(asked.instance_ref, asked.run_id)
    with pool_limits.kept(Deployment()), looked_after(end):
        _start_run(serialized, job, event_queue, termination_event)
        end.exit_code = 0
