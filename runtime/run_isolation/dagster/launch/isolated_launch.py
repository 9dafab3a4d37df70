"""Launching an isolated run: an attempt is stored, then RunTask is called for it.

Nobody waits here: these are threads of Dagster's queue and its daemons. Where there is no task and
it may pass, the run says when its launch is to be made again. A run for which nothing was started
goes back into Dagster's queue meanwhile, where it takes no other run's place (``waiting_queue``).
Where a task may have been started the run stays STARTING, and the watcher goes on with it. Whoever
comes to it later sends the same request again, and ECS answers with the same task.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.errors import DagsterRunNotFoundError

from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch.advertised import instance_version, task_definition
from run_isolation.dagster.launch.attempt import Attempt
from run_isolation.dagster.launch.back_to_queue import to_queue
from run_isolation.errors import LaunchFailedError, ManifestError
from run_isolation.isolated import retries
from run_isolation.isolated.retries import Outcome, Wait
from run_isolation.isolated.run_task import IsolatedLaunch, launch_isolated
from run_isolation.isolated.run_task_answers import meaning_before_the_call
from run_isolation.slots.decision import Kind
from run_isolation.tasks import stop

QUICK_SECONDS: Final = 10
"""In so short a time nobody else goes on with the run (``waiting_runs.LAUNCH_SECONDS``)."""

_log: Final = logging.getLogger(__name__)


class _UnwantedError(Exception):
    """Nobody wants this launch to go on: the run is over, or another process has gone further."""


@dataclass(frozen=True)
class _Making:
    """The making of one run's task."""

    deployment: Deployment
    instance: DagsterInstance
    run: DagsterRun
    location: str
    task_definition: str

    def launch(self, attempt: int) -> str:
        """Calls RunTask for an attempt. Returns the task's ARN."""
        launch = IsolatedLaunch(
            self.run.run_id,
            attempt,
            self.location,
            self.task_definition,
            tags=self.run.tags,
            instance_version=instance_version(self.run),
            job=self.run.job_name,
        )
        try:
            # One that the manifest lacks may have come since it was read.
            self.deployment.location(self.location)
            ecs, manifest = self.deployment.ecs_once, self.deployment.manifest
        except (ManifestError, BotoCoreError) as error:
            meaning = meaning_before_the_call(error)
            if meaning is None:
                raise
            raise LaunchFailedError(self.run.run_id, attempt, str(error), meaning) from error
        return launch_isolated(ecs, manifest, launch)

    def store(self, attempt: int, wait: Wait | None = None) -> None:
        """Puts an attempt in charge, which has no task so far.

        Args:
            attempt: Its number.
            wait: When it is to be made; now, where there is nothing to wait for.
        """
        run_record.write(
            self.instance,
            self.run,
            kind=Kind.ISOLATED,
            attempt=attempt,
            task_arn="",
            address="",
            wait=wait or "",
        )

    def store_next(self, attempt: int) -> None:
        """The same for one that follows a failed one, unless nobody wants it any more.

        Never backwards: a launcher that stood still meanwhile would go on with attempts whose tasks
        have died, beside a live one of a later attempt.
        """
        if run_record.read(self.wanted(attempt)).attempt < attempt:
            self.store(attempt)

    def wanted(self, attempt: int) -> DagsterRun:
        """The run as it is now. One that was canceled ends here.

        Raises:
            _UnwantedError: It needs no task, or has one, or a later attempt is in charge.
        """
        run = self.instance.get_run_by_id(self.run.run_id)
        if run is None or run.is_finished:
            raise _UnwantedError
        if run.status is DagsterRunStatus.CANCELING:
            self.instance.report_run_canceled(run, message="Canceled before it had a task.")
            raise _UnwantedError
        ours = run_record.read(run)
        if ours.attempt > attempt or ours.task_arn is not None:
            raise _UnwantedError
        return run


class IsolatedLauncher:
    """Launches isolated runs. Keeps nothing: each attempt is stored on the run.

    Args:
        deployment: The deployment.
        clock: Seconds of the epoch.
    """

    def __init__(self, deployment: Deployment, *, clock: Callable[[], float] = time.time) -> None:
        self._deployment = deployment
        self._clock = clock

    def launch(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Starts a task for a run that has not begun.

        As the attempt on record, which saves the storage a write; where there is none, as the
        first one, which is stored before the call. A run that has a task already was launched by
        another process at the same time, such as a daemon that is being replaced: it gets no other.
        Nor does one that may have a task: the watcher asks for that when it is time.

        Returns:
            True: there is a task. False: there is none yet, the run says why, and when ``go_on`` is
            to be called.

        Raises:
            RunNotLaunchableError: The run can't be launched as it is.
            ManifestError: The deployment is not known, or lacks the code location.
            LaunchError: The run can't be launched; repeating it won't help.
        """
        ours = run_record.read(run)
        if ours.wait is not None and ours.wait.in_doubt and not ours.wait.is_over(self._clock()):
            return False
        attempt = Attempt.of_launch(ours)
        if attempt is None:
            _log.debug("Run %s has a task already, so its launch makes none.", run.run_id)
            return True
        return self._make(instance, run, attempt)

    def resume(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Starts another task for a run that has begun, as the next attempt.

        Where its last launch has not got so far as to a task, that one goes on.

        Returns and raises as ``launch`` does.
        """
        return self._make(instance, run, Attempt.of_resume(run_record.read(run)))

    def go_on(self, instance: DagsterInstance, run: DagsterRun) -> bool:
        """Sends the request of the run's stored attempt again: ECS answers with its task, if any.

        For a run that waits in the queue, too. One without an attempt gets its first.

        Returns:
            True: there is a task. False: not yet, or nobody wants it any more.

        Raises:
            RunNotLaunchableError: The run must fail.
            ManifestError: The run must fail.
            LaunchError: The run must fail.
        """
        return self._make(instance, run, Attempt.again(run_record.read(run)))

    def relaunch(self, instance: DagsterInstance, run: DagsterRun, why: str) -> bool:
        """Makes a new attempt after the last one's task died before the run began.

        Args:
            instance: Where the run is stored.
            run: The run, as it was read last.
            why: What became of the last task, as a sentence.

        Returns:
            As ``go_on``, which repeats it; and raises as that does.
        """
        attempt = Attempt.after_loss(run_record.read(run))
        instance.report_engine_event(f"{why} Attempt {attempt.number} follows.", run)
        return self._make(instance, run, attempt)

    def _make(self, instance: DagsterInstance, run: DagsterRun, attempt: Attempt) -> bool:
        """Makes an attempt. Returns whether there is a task."""
        _log.debug("Run %s: a launch makes %s.", run.run_id, attempt)
        began = time.monotonic()
        location = run.remote_job_origin.location_name if run.remote_job_origin else ""
        making = _Making(self._deployment, instance, run, location, task_definition(run))
        if not attempt.stored:
            making.store(attempt.number)
        try:
            outcome = retries.ask(attempt.number, making.launch, making.store_next)
            if outcome.task_arn is None:
                self._wait(making, outcome)
                return False
        except _UnwantedError:
            _log.debug("Run %s: nobody wants its launch to go on.", run.run_id)
            return False
        # A look costs as much as all else that a launch asks of the storage. What befalls a run
        # during one quick call, the watcher and the worker see.
        quick = time.monotonic() - began < QUICK_SECONDS
        at_once = attempt.stored and not outcome.troubles and quick
        now = run if at_once else instance.get_run_by_id(run.run_id)
        self._hand_over(making, now, outcome, outcome.task_arn)
        return True

    def _wait(self, making: _Making, outcome: Outcome) -> None:
        """Says on the run when its launch is made again, and why; in the queue, if that may be.

        Raises:
            LaunchFailedError: A refusal that has had its time to pass.
        """
        trouble, now = outcome.troubles[-1], self._clock()
        before = run_record.read(making.run).wait
        if before is not None and before.is_final(trouble.meaning, now):
            raise trouble
        instance = making.instance
        wait = Wait.after(before, outcome.meaning, now)
        if wait.in_doubt:
            run = instance.get_run_by_id(making.run.run_id)
            if run is None or run.status is DagsterRunStatus.CANCELING:
                return  # the watcher stops the task, if there is one
        run = making.wanted(outcome.attempt)
        making.store(outcome.attempt, wait)
        _log.warning("Run %s has no task after %d tries: %s", run.run_id, wait.tries, trouble)
        if wait.is_told(now):
            instance.report_engine_event(_still_waiting(wait, outcome, now), run)
        if run.status is DagsterRunStatus.STARTING and not wait.in_doubt:
            # In progress it would count against the limits of Dagster's queue, and its start
            # timeout would fail it.
            to_queue(instance, run.run_id, outcome.attempt)

    def _hand_over(
        self, making: _Making, run: DagsterRun | None, outcome: Outcome, task_arn: str
    ) -> None:
        """Records the task on the run, or stops it if nobody wants the run any more."""
        instance, run_id = making.instance, making.run.run_id
        over = f"Run {run_id} was deleted or ended before its task started."
        if run is None or run.is_finished:
            self._stop(task_arn, over)
            return
        if run_record.read(run).attempt != outcome.attempt:
            _log.debug("Run %s: task %s is not noted: it has gone further.", run_id, task_arn)
            # This process stood still, and another one has gone further. Noted on the run, a task
            # that is dead by now would be replaced beside a live one; the sweep stops a live one.
            return
        if not _noted(instance, run, task_arn):
            self._stop(task_arn, over)
            return
        _log.debug("Run %s, attempt %d, has task %s.", run_id, outcome.attempt, task_arn)
        before = f" Before that: {outcome.told()}" if outcome.troubles else ""
        instance.report_engine_event(
            f"Started ECS task {task_arn} of {making.task_definition}, attempt {outcome.attempt}."
            f"{before}",
            run,
        )
        if run.status is DagsterRunStatus.CANCELING:
            self._stop(task_arn, f"Run {run_id} was canceled in Dagster.")
            instance.report_run_canceled(run, message="Canceled before its task started.")

    def _stop(self, task_arn: str, reason: str) -> None:
        try:
            stop(self._deployment.ecs, self._deployment.manifest.cluster, task_arn, reason)
        except (BotoCoreError, ClientError) as error:
            # Its worker looks at the run first, and then ends by itself.
            _log.warning("ECS task %s could not be stopped: %s. %s", task_arn, error, reason)


def _noted(instance: DagsterInstance, run: DagsterRun, task_arn: str) -> bool:
    """Writes the task on the run. False: the run has been deleted."""
    try:
        run_record.write(instance, run, task_arn=task_arn, wait="")
    except DagsterRunNotFoundError:
        return False
    return True


def _still_waiting(wait: Wait, outcome: Outcome, now: float) -> str:
    tries = f", after {wait.tries} tries in {(now - wait.since) / 60:.0f} minutes"
    return (
        f"There is no task for this run yet{tries if wait.tries > 1 else ''}. {outcome.told()} "
        f"`run-isolation daemon` makes attempt {outcome.attempt} in about "
        f"{wait.until - now:.0f} seconds."
    )
