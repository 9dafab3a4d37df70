"""The worker: what an isolated task does. It claims the run, then executes it as Dagster does."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
)
from dagster._cli.api import _execute_run_command_body, _resume_run_command_body
from dagster._daemon.monitoring.run_monitoring import count_resume_run_attempts
from dagster._utils.interrupts import capture_interrupts
from tenacity import before_sleep_log, retry, retry_if_exception, stop_after_delay
from tenacity.wait import wait_random_exponential

from run_isolation.dagster import pool_limits, run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.ends.process_end import ProcessEnd, looked_after
from run_isolation.dagster.home import own_home
from run_isolation.dagster.memory.isolated_memory import measured
from run_isolation.errors import ClaimLostError, RunIsolationError, TableError
from run_isolation.instance import VERSION
from run_isolation.isolated.claims import claim
from run_isolation.passing_trouble import may_pass
from run_isolation.slots.decision import Kind

READY_SECONDS: Final = 60
"""How long the worker tries to get ready: to learn its task's ARN, to claim its run, and to open
the Dagster instance. Then another task may have more luck."""

_log: Final = logging.getLogger(__name__)


class Exit(IntEnum):
    """Exit codes of ``run-isolation run``, beside Click's 2 for wrong usage."""

    DONE = 0
    """The run was executed and did not fail, or had ended before."""
    RUN_FAILED = 1
    """The run was executed and failed, as Dagster's storage says too; or the worker itself did."""
    NOT_MINE = 3
    """Another task executes the run, or it is deleted. Nothing is lost."""
    NOT_CLAIMED = 4
    """Something that it needs to begin did not answer in time, so the run was not executed."""
    NO_INSTANCE = 5
    """The deployment's Dagster instance could not be used here, so the run was not touched."""


_ENDS: Final = {
    DagsterEventType.RUN_CANCELING,
    DagsterEventType.RUN_CANCELED,
    DagsterEventType.RUN_FAILURE,
    DagsterEventType.RUN_SUCCESS,
}
"""By these a run ends, or is to end."""


class _UnwantedError(Exception):
    """The run was ended at the last moment. Nothing of its code has been executed."""


class _StillQueuedError(Exception):
    """The daemon has not yet stored that it has launched the run: it was quicker, or it died."""


@dataclass(frozen=True)
class _Ready:
    """All that the worker needs is there, and the run is its own."""

    instance: DagsterInstance
    run: DagsterRun
    resumes: bool
    task_arn: str


_Verdict = tuple[Exit, str]


class Worker:
    """One attempt at one run, in one task.

    Args:
        deployment: The run's.
        run_id: The run.
        attempt: Which launch of it has started this task.
        task_arn: Asks for the ARN of this task.
        owns_process: Whether this process is there for the run alone: then it does not outlive it.
    """

    def __init__(
        self,
        deployment: Deployment,
        run_id: str,
        attempt: int,
        task_arn: Callable[[], str],
        *,
        owns_process: bool = False,
    ) -> None:
        self._deployment = deployment
        self._run_id = run_id
        self._attempt = attempt
        self._task_arn = task_arn
        self._looked_after = looked_after if owns_process else nullcontext

    def work(self) -> _Verdict:
        """Claims and executes the run.

        A SIGTERM, which is ECS's way to stop a task, is kept until Dagster looks for it: it
        interrupts the run in an orderly way, also where it came before the run began.

        Returns:
            The exit code, and what happened as a sentence.
        """
        with capture_interrupts():
            return self._work()

    def _work(self) -> _Verdict:
        with ExitStack() as exits:
            try:
                ready = self._get_ready(exits)
            except ClaimLostError as error:
                return Exit.NOT_MINE, str(error)
            except Exception as error:
                if _may_pass(error):
                    return Exit.NOT_CLAIMED, _told(error)
                if isinstance(error, RunIsolationError):
                    return Exit.NO_INSTANCE, str(error)
                raise
            return self._execute(ready) if isinstance(ready, _Ready) else ready

    @retry(
        retry=retry_if_exception(lambda error: _may_pass(error)),
        stop=stop_after_delay(READY_SECONDS),
        wait=wait_random_exponential(max=10),
        before_sleep=before_sleep_log(_log, logging.WARNING),
        reraise=True,
    )
    def _get_ready(self, exits: ExitStack) -> _Ready | _Verdict:
        """All that may fail for what passes, before anything of the run is executed.

        Tried as a whole: each part may be done again.

        Args:
            exits: What is opened is closed by it.

        Returns:
            What it needs to execute the run; or why it does not.
        """
        with ExitStack() as opened:
            task_arn = self._task_arn()
            slots = self._deployment.slots
            claim(slots.client, slots.table, self._run_id, self._attempt, task_arn)
            # A run executes by its id alone. Its steps, too, find the home in the environment.
            opened.enter_context(own_home.opened(self._deployment))
            instance = opened.enter_context(DagsterInstance.get())
            run = instance.get_run_by_id(self._run_id)
            if run is None:
                return Exit.NOT_MINE, f"Run {self._run_id} is deleted."
            ready = self._take(instance, run, task_arn)
            exits.enter_context(opened.pop_all())
            return ready

    def _take(self, instance: DagsterInstance, run: DagsterRun, task_arn: str) -> _Ready | _Verdict:
        if run.is_finished:
            return Exit.DONE, f"Run {run.run_id} had ended before this task began."
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message="Canceled before it began.")
            return Exit.DONE, f"Run {run.run_id} was canceled before it began."
        if run.status is DagsterRunStatus.QUEUED:
            raise _StillQueuedError(f"Run {run.run_id} is still in Dagster's queue.")
        resumes = run.status is DagsterRunStatus.STARTED
        if resumes and not count_resume_run_attempts(instance, run.run_id):
            return Exit.NOT_MINE, (
                f"Run {run.run_id} has begun in another task, and Dagster has not asked for one "
                "that goes on with it."
            )
        # The launcher may have died before it could: the task is found by what it writes itself.
        run_record.write(
            instance,
            run,
            kind=Kind.ISOLATED,
            attempt=self._attempt,
            task_arn=task_arn,
            instance_version=os.environ.get(VERSION),
        )
        return _Ready(instance, run, resumes, task_arn)

    def _execute(self, ready: _Ready) -> _Verdict:
        instance, run = ready.instance, ready.run
        body = _resume_run_command_body if ready.resumes else _execute_run_command_body
        unwanted: list[_Verdict] = []

        def watch(event: DagsterEvent) -> None:
            if event.event_type is DagsterEventType.RUN_START and (why := self._unwanted(ready)):
                unwanted.append(why)
                # What is raised here ends Dagster's execution.
                raise _UnwantedError

        end = ProcessEnd(instance.get_ref(), run.run_id, exit_code=Exit.RUN_FAILED)
        with (
            pool_limits.kept(self._deployment),
            self._looked_after(end),
            measured(self._run_id, instance),
        ):
            code = body(run.run_id, instance, watch, set_exit_code_on_failure=True)
            end.exit_code = Exit.DONE if unwanted or code == 0 else Exit.RUN_FAILED
        if unwanted:
            return unwanted[0]
        if end.exit_code is Exit.RUN_FAILED:
            return Exit.RUN_FAILED, f"Run {run.run_id} failed."
        return Exit.DONE, f"Run {run.run_id} is over."

    def _unwanted(self, ready: _Ready) -> _Verdict | None:
        """Why the run's code is not to begin after all; None where nothing keeps it."""
        if _is_over(ready.instance, ready.run):
            return Exit.DONE, f"Run {self._run_id} was ended before its code began."
        slots, run_id = self._deployment.slots, self._run_id
        try:
            claim(slots.client, slots.table, run_id, self._attempt, ready.task_arn)
        except ClaimLostError as error:
            # While the code was imported this task was given up for lost, and has a successor.
            return Exit.NOT_MINE, str(error)
        except TableError as error:
            _log.warning("Run %s: whether another task has it now is unknown. %s", run_id, error)
        return None


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, _StillQueuedError) or may_pass(error)


def _told(error: Exception) -> str:
    """As a sentence; some of Dagster's errors say nothing of what caused them."""
    cause = f" {error.__cause__}" if error.__cause__ else ""
    return f"{error}{cause} It did not pass in {READY_SECONDS} seconds."


def _is_over(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether the run was ended between Dagster's last look at it and its start.

    Dagster stores the start over whatever status the run has then. A canceled run would go on, and
    at its task's SIGTERM fail since "no user initiated termination request was found"; one that
    the start timeout has failed, and that Dagster may have retried, would go on beside its retry.
    So the end is stored again.
    """
    ends = instance.get_records_for_run(run.run_id, of_type=_ENDS, limit=1, ascending=False)
    for record in ends.records:
        end = record.event_log_entry.get_dagster_event().event_type
        if end is DagsterEventType.RUN_FAILURE:
            instance.report_run_failed(run, "It had failed before its code began.")
        elif end is DagsterEventType.RUN_SUCCESS:
            words = "It had succeeded in another task; this one executed nothing."
            event = DagsterEvent(end.value, job_name=run.job_name, message=words)
            instance.report_dagster_event(event, run_id=run.run_id)
        else:
            instance.report_run_canceled(run, message="Canceled before its code began.")
    return bool(ends.records)
