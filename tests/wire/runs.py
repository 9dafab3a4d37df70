"""What is written on runs."""

from __future__ import annotations

from typing import Any, Final

from dagster import DagsterInstance, DagsterRun

from run_isolation import tag_names
from run_isolation.dagster import run_record as module
from run_isolation.dagster.memory import verdict
from run_isolation.dagster.memory.reexecution import again_id
from run_isolation.dagster.memory.usage import Usage
from run_isolation.isolated.retries import Wait
from run_isolation.slots.decision import Kind
from run_isolation.standing.container_memory import MIB
from tests.wire.values import OTHER_RUN, RUN, SERVER, TASK

WHY: Final = "Isolated is the default."


def run_tags() -> Any:
    """Our tags of runs of each kind, as they follow each other."""
    with DagsterInstance.ephemeral() as instance:
        return {"isolated": _isolated(instance), **_non_isolated(instance)}


def run_wait() -> Any:
    """The tag of a run that waits for its task, once AWS has turned its launch away three times."""
    wait = Wait(since=1764500000.5, until=1764500070.25, tries=3, told=1764500000.5)
    with DagsterInstance.ephemeral() as instance:
        module.write(instance, stored(instance, RUN, {}), kind=Kind.ISOLATED, attempt=3, wait=wait)
        return {tag_names.WAIT: _tags(instance, RUN)[tag_names.WAIT]}


def stored(instance: DagsterInstance, run_id: str, run_tags: dict[str, str]) -> DagsterRun:
    """A run with these tags."""
    return instance.add_run(DagsterRun(job_name="report", run_id=run_id, tags=run_tags))


def _isolated(instance: DagsterInstance) -> dict[str, str]:
    run = stored(instance, OTHER_RUN, {})
    module.write(instance, run, kind=Kind.ISOLATED, reason=WHY, attempt=1)
    module.write(instance, _read(instance, OTHER_RUN), task_arn=TASK)
    return _tags(instance, OTHER_RUN)


def _non_isolated(instance: DagsterInstance) -> dict[str, dict[str, str]]:
    run = stored(instance, RUN, {tag_names.ISOLATION: tag_names.DISABLED})
    asked = "Asked for by tag dagster/isolation=disabled, and a slot was free."
    module.write(instance, run, kind=Kind.NON_ISOLATED, reason=asked, attempt=1, expected_mib=212.4)
    launched = _read(instance, RUN)
    module.write(instance, launched, task_arn=SERVER.task_arn, address=SERVER.address)
    going_on = _tags(instance, RUN)
    took = Usage(peak_bytes=230 * MIB, cpu_seconds=1.5).as_tags(start_latency=0.44)
    instance.add_run_tags(RUN, {**took, **verdict.TAGS})
    ended = _tags(instance, RUN)
    again = stored(instance, again_id(RUN), ended)
    module.write(instance, again, kind=Kind.ISOLATED, reason=WHY, attempt=1)
    return {
        "non-isolated": going_on,
        "out of memory": ended,
        "executed again": {**ended, tag_names.AGAIN: again_id(RUN)},
        "executes it again": _tags(instance, again.run_id),
    }


def _read(instance: DagsterInstance, run_id: str) -> DagsterRun:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def _tags(instance: DagsterInstance, run_id: str) -> dict[str, str]:
    return dict(_read(instance, run_id).tags)
