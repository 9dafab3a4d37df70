"""The worker: what an isolated task does. It claims the run, then executes it as Dagster does."""

from __future__ import annotations

import os
from contextlib import ExitStack, nullcontext
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
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from run_isolation.dagster import pool_limits, run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.ends.process_end import ProcessEnd, looked_after
from run_isolation.dagster.home import own_home
from run_isolation.dagster.memory.isolated_memory import measured
from run_isolation.errors import ClaimLostError, RunIsolationError, TableError
from run_isolation.instance import VERSION
from run_isolation.isolated.claims import claim
from run_isolation.slots.decision import Kind

CLAIM_SECONDS: Final = 60
"""How long the worker tries to claim its run while the table does not answer."""


class Exit(IntEnum):
    """Exit codes of ``run-isolation run``, beside Click's 2 for wrong usage."""

    DONE = 0
    """The run was executed and did not fail, or had ended before."""
    RUN_FAILED = 1
    """The run was executed and failed, as Dagster's storage says too; or the worker itself did."""
    NOT_MINE = 3
    """Another task executes the run, or it is deleted. Nothing is lost."""
    NOT_CLAIMED = 4
    """The slot table did not answer, so the run was not touched."""
    NO_INSTANCE = 5
    """The deployment's Dagster instance could not be used here, so the run was not touched."""


_ENDS: Final = {
    DagsterEventType.RUN_CANCELING,
    DagsterEventType.RUN_CANCELED,
    DagsterEventType.RUN_FAILURE,
}
"""By these a run ends, or is to end, before its code has begun."""


class _UnwantedError(Exception):
    """The run was ended at the last moment. Nothing of its code has been executed."""


class Worker:
    """One attempt at one run, in one task.

    Args:
        deployment: The run's.
        run_id: The run.
        attempt: Which launch of it has started this task.
        task_arn: This task.
        owns_process: Whether this process is there for the run alone: then it does not outlive it.
    """

    def __init__(
        self,
        deployment: Deployment,
        run_id: str,
        attempt: int,
        task_arn: str,
        *,
        owns_process: bool = False,
    ) -> None:
        self._deployment = deployment
        self._run_id = run_id
        self._attempt = attempt
        self._task_arn = task_arn
        self._looked_after = looked_after if owns_process else nullcontext

    def work(self) -> tuple[Exit, str]:
        """Claims and executes the run.

        A SIGTERM, which is ECS's way to stop a task, is kept until Dagster looks for it: it
        interrupts the run in an orderly way, also where it came before the run began.

        Returns:
            The exit code, and what happened as a sentence.
        """
        with capture_interrupts():
            return self._work()

    def _work(self) -> tuple[Exit, str]:
        try:
            self._claim()
        except ClaimLostError as error:
            return Exit.NOT_MINE, str(error)
        except TableError as error:
            return Exit.NOT_CLAIMED, str(error)
        with ExitStack() as exits:
            try:
                # A run executes by its id alone. Its steps, too, find the home in the environment.
                exits.enter_context(own_home.opened(self._deployment))
            except TableError as error:
                return Exit.NOT_CLAIMED, str(error)
            except RunIsolationError as error:
                return Exit.NO_INSTANCE, str(error)
            instance = exits.enter_context(DagsterInstance.get())
            run = instance.get_run_by_id(self._run_id)
            if run is None:
                return Exit.NOT_MINE, f"Run {self._run_id} is deleted."
            return self._execute(instance, run)

    @retry(
        retry=retry_if_exception_type(TableError),
        stop=stop_after_delay(CLAIM_SECONDS),
        wait=wait_random_exponential(max=10),
        reraise=True,
    )
    def _claim(self) -> None:
        slots = self._deployment.slots
        claim(slots.client, slots.table, self._run_id, self._attempt, self._task_arn)

    def _execute(self, instance: DagsterInstance, run: DagsterRun) -> tuple[Exit, str]:
        if run.is_finished:
            return Exit.DONE, f"Run {run.run_id} had ended before this task began."
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message="Canceled before it began.")
            return Exit.DONE, f"Run {run.run_id} was canceled before it began."
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
            task_arn=self._task_arn,
            instance_version=os.environ.get(VERSION),
        )
        body = _resume_run_command_body if resumes else _execute_run_command_body
        unwanted: list[str] = []

        def watch(event: DagsterEvent) -> None:
            if event.event_type is DagsterEventType.RUN_START and _is_over(instance, run):
                unwanted.append(f"Run {run.run_id} was ended before its code began.")
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
            return Exit.DONE, unwanted[0]
        if end.exit_code is Exit.RUN_FAILED:
            return Exit.RUN_FAILED, f"Run {run.run_id} failed."
        return Exit.DONE, f"Run {run.run_id} is over."


def _is_over(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether the run was ended between Dagster's last look at it and its start.

    Dagster stores the start over whatever status the run has then. A canceled run would go on, and
    at its task's SIGTERM fail since "no user initiated termination request was found"; one that
    the start timeout has failed, and that Dagster may have retried, would go on beside its retry.
    So the end is stored again.
    """
    ends = instance.get_records_for_run(run.run_id, of_type=_ENDS, limit=1, ascending=False)
    for record in ends.records:
        if record.event_log_entry.get_dagster_event().event_type is DagsterEventType.RUN_FAILURE:
            instance.report_run_failed(run, "It had failed before its code began.")
        else:
            instance.report_run_canceled(run, message="Canceled before its code began.")
    return bool(ends.records)
