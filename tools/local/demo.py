"""The runs that `make up` launches: what each is asked to be, and what it must become."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import tenacity
from dagster import DagsterInstance
from dagster_graphql import DagsterGraphQLClientError
from rich.console import Console

from run_isolation import tag_names
from run_isolation.slots.decision import Kind
from run_isolation.slots.slots import Slots
from tools.local.control_plane import ControlPlane
from tools.local.errors import StepError
from tools.local.results import Launched
from tools.local.standing import Standing
from tools.progress import working

NON_ISOLATED: Mapping[str, str] = {tag_names.ISOLATION: tag_names.DISABLED}
IN_PROCESS: Mapping[str, Any] = {"execution": {"config": {"in_process": {}}}}
"""Steps in the run's own process: at a quarter of a vCPU a process for each takes seconds."""
SMALL = {"seconds": 1.0, "memory_mib": 64}
PATIENCE = 240.0
"""Seconds that all runs may take together."""
SLOT_PATIENCE = 120.0
"""Seconds that a run of an earlier `make up`, or of a person at the page, may hold a slot."""


@dataclass(frozen=True)
class Ask:
    """A launch, as a person makes it at the page."""

    location: str
    job: str
    why: str
    """What it shows."""
    becomes: Kind
    because: str
    """What the reason on the run must contain."""
    run_tags: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    cpu: int = 4096
    """CPU units of its own task, where it gets one."""
    memory: int = 16384
    """MiB of its own task."""


FIRST = Ask(
    "research",
    "train_model",
    "asks for the shared container",
    Kind.NON_ISOLATED,
    "a slot was free",
    NON_ISOLATED,
    {**IN_PROCESS, "ops": {"simulation": {"config": {"seconds": 4.0, "memory_mib": 64}}}},
)
DENIED = Ask(
    "sales",
    "check_feed",
    "asks while the slot is taken",
    Kind.ISOLATED,
    "No slot was free: 1 of 1 held, by run {holder} of research",
)
"""Its job has the tag itself. Launched while the first run is going."""
MEANWHILE = (
    Ask("sales", "refresh_sales", "asks for nothing", Kind.ISOLATED, "the default"),
    Ask(
        "research",
        "backtest",
        "asks for the shared container and for 2 vCPU",
        Kind.ISOLATED,
        "ecs/cpu asks for 2048",
        NON_ISOLATED,
        {"ops": {"best_strategy": {"config": SMALL}}},
        cpu=2048,
        memory=4096,
    ),
)
LAST = Ask(
    "sales",
    "check_feed",
    "asks again when the slot is free",
    Kind.NON_ISOLATED,
    "a slot was free",
    config=IN_PROCESS,
)


def why_none(standing: Sequence[Standing]) -> str | None:
    """Why nothing can be launched, as a sentence; None where all jobs are there."""
    jobs = {one.location: one.serves.jobs for one in standing}
    for ask in (FIRST, DENIED, *MEANWHILE, LAST):
        if ask.location not in jobs:
            return f"the stack has no code location {ask.location}, whose jobs `make up` launches"
        if ask.job not in jobs[ask.location]:
            return f"code location {ask.location} has no job {ask.job}, which `make up` launches"
    return None


def repository(standing: Sequence[Standing], ask: Ask) -> str:
    """The repository that the job is in. Other code locations may have one of the same name.

    Raises:
        StepError: it is in several.
    """
    [serves] = [one.serves for one in standing if one.location == ask.location]
    found = [name for name, jobs in serves.repositories.items() if ask.job in jobs]
    if len(found) != 1:
        raise StepError(
            f"code location {ask.location} has the job {ask.job} in the repositories "
            f"{' and '.join(found)}, so it is not clear which one to launch. Keep it in only "
            "one of them, or launch it yourself on Dagster's page, which is running."
        )
    return found[0]


def launch_all(
    plane: ControlPlane, slots: Slots, standing: Sequence[Standing], console: Console
) -> list[tuple[Ask, Launched]]:
    """Launch the runs through the page's API and wait until they have ended.

    Raises:
        StepError: a launch was refused or is ambiguous, a run did not end in time, or another one
            kept the slot.
    """
    with working(console, "Runs of both kinds") as show, plane.instance() as instance:
        wait_for_free_slots(slots, show)
        deadline = time.monotonic() + PATIENCE
        first = _launch(plane, standing, FIRST)
        denied = replace(DENIED, because=DENIED.because.format(holder=first.run_id))
        pending = [first, *(_launch(plane, standing, ask) for ask in (denied, *MEANWHILE))]
        _wait(instance, [first], deadline, show)
        # A slot is free when the run's process is gone, a moment after the run's end.
        wait_for_free_slots(slots, show)
        pending.append(_launch(plane, standing, LAST))
        _wait(instance, pending, deadline, show)
        return [(run.ask, _look(instance, run)) for run in pending]


def wait_for_free_slots(slots: Slots, show: Callable[[str], None]) -> None:
    """Wait for runs that were launched before and hold a slot.

    Raises:
        StepError: one holds it for too long.
    """

    def held() -> str:
        holders = slots.holders()
        names = ", ".join(f"{holder.run_id} of {holder.location}" for holder in holders)
        if names:
            show(f"an earlier run holds the slot: {names}")
        return names

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(bool),
        stop=tenacity.stop_after_delay(SLOT_PATIENCE),
        wait=tenacity.wait_fixed(0.3),
    )
    try:
        retrying(held)
    except tenacity.RetryError as error:
        raise StepError(
            f"an earlier run has held the slot for {SLOT_PATIENCE:g} s: "
            f"{error.last_attempt.result()}. Wait for it to end, or terminate it on Dagster's "
            "page, then run `make up` again."
        ) from error


@dataclass(frozen=True)
class _Pending:
    ask: Ask
    run_id: str
    launched_at: float
    """Seconds since the epoch."""


def _launch(plane: ControlPlane, standing: Sequence[Standing], ask: Ask) -> _Pending:
    name = repository(standing, ask)
    launched_at = time.time()
    try:
        run_id = plane.client().submit_job_execution(
            ask.job,
            repository_location_name=ask.location,
            repository_name=name,
            run_config=dict(ask.config),
            tags=dict(ask.run_tags),
        )
    except DagsterGraphQLClientError as error:
        raise StepError(f"{ask.location}: {ask.job} could not be launched: {error}") from error
    return _Pending(ask, run_id, launched_at)


def _wait(
    instance: DagsterInstance, runs: list[_Pending], deadline: float, show: Callable[[str], None]
) -> None:
    def unfinished() -> list[str]:
        left = []
        for run in runs:
            stored = instance.get_run_by_id(run.run_id)
            if stored is None or not stored.is_finished:
                status = stored.status.value if stored else "deleted"
                left.append(f"{run.ask.job} {status}")
        show(", ".join(left))
        return left

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(bool),
        stop=tenacity.stop_after_delay(max(deadline - time.monotonic(), 1)),
        wait=tenacity.wait_fixed(0.3),
    )
    try:
        retrying(unfinished)
    except tenacity.RetryError as error:
        raise StepError(
            f"did not end within {PATIENCE:g} s: {', '.join(error.last_attempt.result())}"
        ) from error


def _look(instance: DagsterInstance, run: _Pending) -> Launched:
    record = instance.get_run_record_by_id(run.run_id)
    if record is None:
        raise StepError(f"run {run.run_id} no longer exists")
    stored = record.dagster_run
    return Launched(
        run_id=run.run_id,
        location=run.ask.location,
        job=run.ask.job,
        why=run.ask.why,
        kind=stored.tags.get(tag_names.KIND, "unknown"),
        reason=stored.tags.get(tag_names.REASON, ""),
        task=stored.tags.get(tag_names.TASK_ARN, ""),
        status=stored.status.value,
        seconds_to_start=record.start_time - run.launched_at if record.start_time else None,
    )
