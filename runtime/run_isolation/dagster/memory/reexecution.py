"""Out of memory becomes a slower success: such a run is executed again, isolated.

From failure where the outputs of its finished steps can be read in another container, else from
the beginning. A server that ends a run for want of memory writes ``due`` on it. This side, in the
daemon, makes Dagster's own re-execution of it, whose id is a function of the run's: a daemon that
dies in the middle, or a second one, finds the same run and submits it if nobody has.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.definitions.selector import JobSubsetSelector
from dagster._core.errors import (
    DagsterCodeLocationNotFoundError,
    DagsterInvalidSubsetError,
    DagsterRunAlreadyExists,
)
from dagster._core.execution.plan.resume_retry import ReexecutionStrategy
from dagster._core.instance.runs.run_domain import RunDomain
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.daemon import DaemonIterator
from dagster._daemon.utils import DaemonErrorCapture

from run_isolation import tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.memory.inputs import kept_in_container

LOOKBACK: Final = timedelta(hours=24)
"""Of runs that failed before, nobody waits for the result any more."""

MOST_AT_ONCE: Final = 20
"""In one pass; the next one goes on."""

UNDECIDED_SECONDS: Final = 60
"""How long Dagster may take to decide whether it retries a run. Whoever stores the failure does, or
its daemon within 5 s; but not about what failed before that daemon's very first look
(dagster/_daemon/auto_run_reexecution/event_log_consumer.py)."""


class _NotAgainError(Exception):
    """The run can't be executed again by this side. ``str()`` says why."""


@dataclass(frozen=True)
class ExecuteAgain:
    """Executes again what was ended for want of memory."""

    deployment: Deployment
    workspace: IWorkspaceProcessContext[Any]
    logger: logging.Logger

    @property
    def _instance(self) -> DagsterInstance:
        return self.workspace.instance

    def look(self) -> DaemonIterator:
        """One pass. Trouble with one run is logged and given, and the next run comes."""
        for run in self._due():
            try:
                self._execute_again(run)
            except Exception:
                yield DaemonErrorCapture.process_exception(
                    sys.exc_info(),
                    logger=self.logger,
                    log_message=f"Run {run.run_id} could not be executed again; trying again",
                )
            else:
                yield None

    def _due(self) -> Sequence[DagsterRun]:
        wanted = RunsFilter(
            statuses=[DagsterRunStatus.FAILURE],
            tags={tag_names.AGAIN: tag_names.DUE},
            updated_after=datetime.now(UTC) - LOOKBACK,
        )
        found = self._instance.get_run_records(wanted, limit=MOST_AT_ONCE, ascending=True)
        return [record.dagster_run for record in found if self._is_settled(record)]

    def _is_settled(self, record: RunRecord) -> bool:
        run = record.dagster_run
        if run.tags.get(run_record.OWNER) != run.run_id:
            # Copied by a re-execution that was not submitted yet: not its own.
            return False
        if WILL_RETRY_TAG in run.tags or not self._instance.run_retries_enabled:
            return True
        if time.time() - (record.end_time or 0) < UNDECIDED_SECONDS:
            return False
        # Nobody has. Whoever comes to it later finds it decided, so that one of the two does it.
        self._instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
        return True

    def _execute_again(self, run: DagsterRun) -> None:
        again = again_id(run.run_id)
        try:
            self._check(run, again)
            self._submit(run, again)
            outcome = again
        except _NotAgainError as error:
            outcome = f"no: {error}"
            self._instance.report_engine_event(f"It is not executed again: {error}.", run)
        # Last: until then a daemon that dies here leaves the run due.
        self._instance.add_run_tags(run.run_id, {tag_names.AGAIN: outcome})

    def _check(self, run: DagsterRun, again: str) -> None:
        if not self.deployment.manifest.isolate_on_out_of_memory:
            raise _NotAgainError("the stack config says isolateOnOutOfMemory: false")
        if run.tags.get(WILL_RETRY_TAG) == "true":
            raise _NotAgainError("Dagster's own run retries do it, isolated")
        children = self._instance.get_runs(
            RunsFilter(tags={PARENT_RUN_ID_TAG: run.run_id}), limit=2
        )
        if other := next((child.run_id for child in children if child.run_id != again), None):
            raise _NotAgainError(f"run {other} already does it")

    def _submit(self, run: DagsterRun, again: str) -> None:
        workspace = self.workspace.create_request_context()
        stays = kept_in_container(self._instance, run)
        new = self._instance.get_run_by_id(again) or self._create(run, again, stays)
        if new.status is not DagsterRunStatus.NOT_STARTED:
            return
        way, why = "from failure", "finished steps are kept."
        if stays is not None:
            way, why = "from the beginning", f"{stays}. `instance.io` keeps outputs on S3."
        self._instance.report_engine_event(
            f"Executed again, isolated and {way}, as run {again}: its standing container "
            "had no memory left for it.",
            run,
        )
        self._instance.report_engine_event(
            f"Executes run {run.run_id} again, isolated and {way}: {why} "
            "That run was ended because its standing container had no memory left.",
            new,
        )
        self._instance.submit_run(again, workspace)
        self.logger.info("Run %s is executed again, isolated, as run %s.", run.run_id, again)

    def _create(self, run: DagsterRun, again: str, stays: str | None) -> DagsterRun:
        workspace = self.workspace.create_request_context()
        origin = run.remote_job_origin
        if origin is None:
            raise _NotAgainError("it names no code location")
        repository = origin.repository_origin
        name = repository.code_location_origin.location_name
        try:
            location = workspace.get_code_location(name)
        except DagsterCodeLocationNotFoundError as error:
            raise _NotAgainError(f"code location {name} is gone") from error
        if not (
            location.has_repository(repository.repository_name)
            and location.get_repository(repository.repository_name).has_job(run.job_name)
        ):
            raise _NotAgainError(f"job {run.job_name} is gone from code location {name}")
        job = location.get_job(
            JobSubsetSelector(
                location_name=name,
                repository_name=repository.repository_name,
                job_name=run.job_name,
                op_selection=run.op_selection,
                asset_selection=run.asset_selection,
                asset_check_selection=run.asset_check_selection,
            )
        )
        try:
            return _Domain(self._instance, again).create_reexecuted_run(
                request_context=workspace,
                parent_run=run,
                code_location=location,
                remote_job=job,
                strategy=(
                    ReexecutionStrategy.FROM_FAILURE
                    if stays is None
                    else ReexecutionStrategy.ALL_STEPS
                ),
                use_parent_run_tags=True,
            )
        except DagsterInvalidSubsetError as error:
            raise _NotAgainError("no step of it is left to be executed") from error
        except DagsterRunAlreadyExists:
            # Another daemon was faster.
            found = self._instance.get_run_by_id(again)
            assert found is not None  # noqa: S101  # just said so
            return found


def again_id(run_id: str) -> str:
    """The id of the run that executes another one again."""
    return str(uuid5(NAMESPACE_URL, f"run-isolation:out-of-memory:{run_id}"))


class _Domain(RunDomain):
    """Dagster's creation of re-executions, with an id of ours: the storage takes each once."""

    def __init__(self, instance: DagsterInstance, run_id: str) -> None:
        super().__init__(instance)
        self._run_id = run_id

    def create_run(self, **given: Any) -> DagsterRun:
        """As Dagster's own."""
        return super().create_run(**{**given, "run_id": self._run_id})
