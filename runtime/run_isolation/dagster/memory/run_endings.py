"""How runs of a standing container ended, and what is written on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus
from dagster._core.instance.ref import InstanceRef

from run_isolation.dagster import run_record
from run_isolation.dagster.memory.reservations import HostedRun
from run_isolation.dagster.memory.usage import start_latency
from run_isolation.dagster.memory.verdict import TAGS, Verdict
from run_isolation.standing.container_memory import ContainerMemory

_KILLED_STEP: Final = re.compile(r"child process for step .* signal 9 \(SIGKILL\)")
"""What Dagster's multiprocess executor says of it (dagster/_core/executor/multiprocess.py,
get_run_crash_explanation in dagster/_utils/__init__.py)."""


@dataclass(frozen=True)
class Ended:
    """A process on record that has ended."""

    run_id: str
    exit_code: int | None
    instance: InstanceRef
    cpu_seconds: float = 0.0
    """Of it and its descendants, where somebody has waited for them."""
    memory_bytes: int = 0
    """What it had at its end; 0 where nobody says so."""


class Kills:
    """Processes that the kernel has killed in this container for want of memory.

    It does not say which. So a run's death by SIGKILL counts as one of them where there was one
    in the run's life that is not told of another run.
    """

    def __init__(self, memory: Callable[[], ContainerMemory | None]) -> None:
        self._memory = memory
        self._told = 0

    def count(self) -> int:
        """How many there were."""
        memory = self._memory()
        return memory.oom_kills() if memory else 0

    def any_untold(self, run: HostedRun, count: int) -> bool:
        """Whether any may be this run's."""
        return run.kills_before is not None and count > max(run.kills_before, self._told)

    def told(self, count: int) -> None:
        """So many are told."""
        self._told = max(self._told, count)


def fail(ended: Ended, run: HostedRun) -> bool:
    """Fails a run that was ended for memory, with words and tags; False where it has ended.

    The tags first: who sees the failure finds them. Dagster's own "unexpectedly exited" is left
    out then, since it looks at runs only that have not ended.
    """
    with DagsterInstance.from_ref(ended.instance) as instance:
        stored = instance.get_run_by_id(ended.run_id)
        if stored is None or stored.is_finished:
            return False
        latency = start_latency(instance, ended.run_id)
        taken = run.usage.as_tags(latency)
        instance.add_run_tags(ended.run_id, {**taken, **TAGS, **run_record.used_instance()})
        instance.report_run_failed(stored, str(run.verdict))
        return True


def record(ended: Ended, run: HostedRun, killed: Verdict | None) -> bool:
    """Writes on a run that is over what it took.

    Args:
        ended: The run.
        run: What is known of it.
        killed: The verdict on it where a step of it turns out to have been killed: the kernel has
            killed something, nobody knows yet of which run.

    Returns:
        Whether a step was.
    """
    with DagsterInstance.from_ref(ended.instance) as instance:
        stored = instance.get_run_by_id(ended.run_id)
        if stored is None:
            return False
        failed = stored.status is DagsterRunStatus.FAILURE
        lost_a_step = failed and killed is not None and _lost_a_step(instance, ended.run_id)
        # 0: its process was ended when the run was over, so that the run did not fail by it.
        verdict = (run.verdict if ended.exit_code else None) or (killed if lost_a_step else None)
        new = run.usage.as_tags(start_latency(instance, ended.run_id))
        if failed and verdict is not None:
            new |= TAGS
            instance.report_engine_event(str(verdict), stored)
        if new:
            instance.add_run_tags(ended.run_id, new | run_record.used_instance())
        return lost_a_step


def _lost_a_step(instance: DagsterInstance, run_id: str) -> bool:
    events = instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT)
    return any(_KILLED_STEP.search(entry.message) for entry in events)
