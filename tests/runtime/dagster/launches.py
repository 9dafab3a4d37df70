"""Runs created as Dagster creates them, and submitted as the webserver or the daemon does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun
from dagster._cli.job import _create_run
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from starlette.requests import Request

from run_isolation import tag_names
from tests.runtime.dagster.account import LOCATION
from tests.waiting import PATIENCE_SECONDS, eventually

NON_ISOLATED = {tag_names.ISOLATION: tag_names.DISABLED}
WEB_REQUEST = Request({"type": "http", "method": "POST", "path": "/graphql", "headers": []})


@dataclass(frozen=True)
class Launches:
    """Launches runs of the probe's jobs."""

    instance: DagsterInstance
    process_context: WorkspaceProcessContext

    def workspace(self, source: object | None = None) -> WorkspaceRequestContext:
        return self.process_context.create_request_context(source)

    def create(
        self,
        job: str = "work_job",
        *,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        run_config: Mapping[str, Any] | None = None,
    ) -> DagsterRun:
        """A run that is not submitted yet; ``config`` is that of its op ``work``."""
        location = self.workspace().get_code_location(LOCATION)
        repository = location.get_repository("__repository__")
        run: DagsterRun = _create_run(
            instance=self.instance,
            code_location=location,
            remote_repo=repository,
            remote_job=repository.get_full_job(job),
            run_config=run_config
            or ({"ops": {"work": {"config": dict(config)}}} if config else {}),
            tags=tags,
            op_selection=None,
            run_id=None,
        )
        return run

    def submit(self, run: DagsterRun, source: object | None = WEB_REQUEST) -> DagsterRun:
        """Submits a run; by hand, from the page, unless ``source`` says otherwise."""
        self.instance.submit_run(run.run_id, self.workspace(source))
        return self.read(run)

    def launch(self, job: str = "work_job", **asked: Any) -> DagsterRun:
        """Creates and submits a non-isolated run by hand."""
        return self.submit(self.create(job, **{"tags": NON_ISOLATED} | asked))

    def dequeue(self, run: DagsterRun) -> DagsterRun:
        """Launches a queued run as the daemon does."""
        self.instance.launch_run(run.run_id, self.workspace())
        return self.read(run)

    def starting(self, run: DagsterRun) -> DagsterRun:
        """Makes Dagster's storage believe that the run is STARTING."""
        return self._after(DagsterEventType.RUN_STARTING, run)

    def started(self, run: DagsterRun) -> DagsterRun:
        """Makes Dagster's storage believe that the run is STARTED."""
        return self._after(DagsterEventType.RUN_START, run)

    def _after(self, kind: DagsterEventType, run: DagsterRun) -> DagsterRun:
        event = DagsterEvent(kind.value, job_name=run.job_name)
        self.instance.report_dagster_event(event, run_id=run.run_id)
        return self.read(run)

    def read(self, run: DagsterRun) -> DagsterRun:
        stored = self.instance.get_run_by_id(run.run_id)
        assert stored is not None
        return stored

    def ended(self, run: DagsterRun, seconds: float = PATIENCE_SECONDS) -> DagsterRun:
        """The run, once it has ended."""
        eventually(lambda: self.read(run).is_finished, f"the end of {run.run_id}", seconds)
        return self.read(run)

    def events(self, run: DagsterRun) -> list[str]:
        """Messages of the run's engine events."""
        records = self.instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        return [record.message for record in records]

    def failure(self, run: DagsterRun) -> str:
        """What the event says by which the run failed."""
        [record] = self.instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)
        return str(record.message)
