"""Whether a run can go on from failure in another container: whether its inputs are there.

Read from what I/O managers said when they kept the outputs of its finished steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from dagster import DagsterEventType, DagsterInstance, DagsterRun, PathMetadataValue
from dagster._core.events import HandledOutputData
from dagster._core.execution.plan.state import KnownExecutionState

_FILESYSTEM: Final = "Built-in filesystem IO manager"
"""So begins the description of Dagster's I/O managers that write to the disk of a container, the
default one among them (dagster/_core/storage/fs_io_manager.py)."""

_NOTHING: Final = "Nothing"
"""Type of inputs that are an order, and no value."""


def kept_in_container(instance: DagsterInstance, run: DagsterRun) -> str | None:
    """Which input of the steps that did not finish is on the disk of a container, if one is.

    An I/O manager of the user's own that says nothing of a disk counts as one whose outputs can be
    read anywhere.

    Args:
        instance: Whose run it is.
        run: It has failed.

    Returns:
        The output and where it is, for people; None where all inputs can be read elsewhere.
    """
    remaining, known = KnownExecutionState.build_resume_retry_reexecution(instance, run)
    consumed = set(_consumed(instance, run, set(remaining)))
    descriptions = _io_managers(instance, run)
    state = known.parent_state
    while state is not None:
        for step_key, kept in _kept(instance, state.run_id):
            if step_key in remaining or (_static(step_key), kept.output_name) not in consumed:
                continue
            if (place := _disk(kept, descriptions)) is not None:
                return f"output {kept.output_name} of step {step_key} is {place}"
        state = state.get_parent_state()
    return None


def _consumed(
    instance: DagsterInstance, run: DagsterRun, remaining: set[str]
) -> Iterator[tuple[str, str]]:
    """Step and output that the remaining steps take values from."""
    plan_id = run.execution_plan_snapshot_id
    if plan_id is None:
        return
    static = {_static(key) for key in remaining}
    for step in instance.get_execution_plan_snapshot(plan_id).steps:
        if _static(step.key) in static:
            for taken in step.inputs:
                if taken.dagster_type_key != _NOTHING:
                    for handle in taken.upstream_output_handles:
                        yield _static(handle.step_key), handle.output_name


def _static(step_key: str) -> str:
    """Mapped steps, ``name[key]``, are one step, ``name[?]``, in the plan."""
    return step_key.partition("[")[0]


def _io_managers(instance: DagsterInstance, run: DagsterRun) -> Mapping[str, str]:
    """Descriptions of the job's resources by their keys."""
    if run.job_snapshot_id is None:
        return {}
    [mode] = instance.get_job_snapshot(run.job_snapshot_id).mode_def_snaps
    return {one.name: one.description or "" for one in mode.resource_def_snaps}


def _kept(instance: DagsterInstance, run_id: str) -> Iterator[tuple[str, HandledOutputData]]:
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.HANDLED_OUTPUT):
        event: Any = entry.dagster_event
        yield event.step_key, event.event_specific_data


def _disk(kept: HandledOutputData, descriptions: Mapping[str, str]) -> str | None:
    """Where on a disk it is, as a phrase; None where it is on none."""
    if "uri" in kept.metadata:
        return None  # of I/O managers of ours, and of Dagster's for S3, GCS and Azure
    path = kept.metadata.get("path")
    if isinstance(path, PathMetadataValue):
        return None if "://" in str(path.value) else f"at {path.value} of its container"
    if descriptions.get(kept.manager_key, "").startswith(_FILESYSTEM):
        return "on the disk of its container"  # Dagster does not say where it keeps a None
    return None
