"""Runs in a code server, asked for the way Dagster's own DefaultRunLauncher asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun
from dagster._cli.job import _create_run
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.remote_representation.external import RemoteRepository
from dagster._grpc.types import (
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    CancelExecutionRequest,
    CancelExecutionResult,
    ExecuteExternalJobArgs,
    GetCurrentRunsResult,
    StartRunResult,
)
from dagster._serdes import deserialize_value

from tests.code_server.servers import ADDRESS, CodeServer
from tests.waiting import eventually

ENDED_SECONDS = 180.0

Sequence_ = list[tuple[str, str | None]]
"""Types of a run's events, each with its step."""


def new_home(directory: Path, storage: Mapping[str, Any] | None = None) -> Path:
    """A Dagster home; with its own SQLite unless ``storage`` of dagster.yaml is given."""
    directory.mkdir(parents=True, exist_ok=True)
    storage = storage or {"sqlite": {"base_dir": str(directory / "sqlite")}}
    config = {"storage": storage, "telemetry": {"enabled": False}}
    (directory / "dagster.yaml").write_text(yaml.safe_dump(config))
    return directory


@dataclass(frozen=True)
class Runs:
    """Creates, starts and reads runs of one server's location.

    Attributes:
        server: Which executes them.
        instance: Whose they are.
        location: What the server serves, as its clients know it.
    """

    server: CodeServer
    instance: DagsterInstance
    location: GrpcServerCodeLocation

    @property
    def repository(self) -> RemoteRepository:
        """The location's only one."""
        [repository] = self.location.get_repositories().values()
        return repository

    def create(
        self,
        job: str,
        config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> DagsterRun:
        """A run that is not started."""
        run: DagsterRun = _create_run(
            instance=self.instance,
            code_location=self.location,
            remote_repo=self.repository,
            remote_job=self.repository.get_full_job(job),
            run_config=config or {},
            tags=tags,
            op_selection=None,
            run_id=None,
        )
        starting = DagsterEvent(DagsterEventType.RUN_STARTING.value, job_name=run.job_name)
        self.instance.report_dagster_event(starting, run_id=run.run_id)
        return run

    def start(self, run: DagsterRun) -> StartRunResult:
        """StartRun; the server's answer."""
        assert run.remote_job_origin is not None
        args = ExecuteExternalJobArgs(
            job_origin=run.remote_job_origin,
            run_id=run.run_id,
            instance_ref=self.instance.get_ref(),
        )
        return deserialize_value(self.server.client.start_run(args), StartRunResult)

    def launch(self, job: str, config: Mapping[str, Any] | None = None) -> DagsterRun:
        """A run that the server has started."""
        run = self.create(job, config)
        result = self.start(run)
        assert result.success, f"{result}\n{self.server.said()[-3000:]}"
        return run

    def execute(self, job: str, config: Mapping[str, Any] | None = None) -> DagsterRun:
        """A run that has ended."""
        return self.ended(self.launch(job, config))

    def read(self, run: DagsterRun) -> DagsterRun:
        """The run as it is now."""
        stored = self.instance.get_run_by_id(run.run_id)
        assert stored is not None
        return stored

    def ended(self, run: DagsterRun, seconds: float = ENDED_SECONDS) -> DagsterRun:
        """The run, once it has ended and the server has noticed."""

        def over() -> bool:
            return self.read(run).is_finished and run.run_id not in self.current()

        eventually(over, lambda: f"{self.told(run)}\n{self.server.said()[-3000:]}", seconds)
        return self.read(run)

    def reaches(self, run: DagsterRun, kind: DagsterEventType, seconds: float = 120) -> float:
        """When the run's first event of a kind happened, once it has: seconds since the epoch."""

        def found() -> float | None:
            records = self.instance.all_logs(run.run_id, of_type=kind)
            return records[0].timestamp if records else None

        return eventually(found, lambda: f"{kind}: {self.told(run)}", seconds)

    def told(self, run: DagsterRun) -> str:
        """Status and every message of a run, for what a test expects or could not find."""
        messages = [entry.message for entry in self.instance.all_logs(run.run_id)]
        return "\n".join([str(self.read(run).status), *messages])

    def sequence(self, run: DagsterRun) -> Sequence_:
        """What happened, in the order in which it was stored."""
        events = [entry.dagster_event for entry in self.instance.all_logs(run.run_id)]
        return [(event.event_type_value, event.step_key) for event in events if event is not None]

    def current(self) -> set[str]:
        """Ids of runs that the server executes."""
        text = self.server.client.get_current_runs()
        return set(deserialize_value(text, GetCurrentRunsResult).current_runs)

    def can_cancel(self, run: DagsterRun) -> bool:
        """Whether the server says that it can."""
        text = self.server.client.can_cancel_execution(
            CanCancelExecutionRequest(run_id=run.run_id), timeout=30
        )
        return deserialize_value(text, CanCancelExecutionResult).can_cancel

    def cancel(self, run: DagsterRun) -> bool:
        """CancelExecution; whether the server has begun to."""
        self.instance.report_run_canceling(run)
        text = self.server.client.cancel_execution(CancelExecutionRequest(run_id=run.run_id))
        return deserialize_value(text, CancelExecutionResult).success


@contextmanager
def runs_of(server: CodeServer, home: Path) -> Iterator[Runs]:
    """Opens the instance, and the server's location as its clients do."""
    origin = GrpcServerCodeLocationOrigin(
        host=ADDRESS, port=server.port, location_name="under_test"
    )
    with DagsterInstance.from_config(str(home)) as instance:
        location = GrpcServerCodeLocation(origin, instance=instance, watch_server=False)
        try:
            yield Runs(server, instance, location)
        finally:
            location.cleanup()
