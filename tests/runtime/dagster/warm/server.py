"""A code server outside of a task, and runs in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from dagster import DagsterInstance, DagsterRun
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import (
    CancelExecutionRequest,
    ExecuteExternalJobArgs,
    GetCurrentRunsResult,
    StartRunResult,
)
from dagster._serdes import deserialize_value

from run_isolation.dagster.warm import template
from tests.locations.warm.warm_probe import defs
from tests.waiting import eventually
from tools.ports import free_port

LOCATION = Path(__file__).parents[3] / "locations" / "warm"
COMMAND = (str(Path(sys.executable).with_name("run-isolation")), "code-server")


@dataclass
class CodeServer:
    """Its process and what asks it."""

    process: subprocess.Popen[bytes]
    client: DagsterGrpcClient
    instance: DagsterInstance
    log: Path

    @classmethod
    @contextmanager
    def running(
        cls,
        directory: Path,
        instance: DagsterInstance,
        *options: str,
        command: Sequence[str] = COMMAND,
        code: Path = LOCATION,
        **environment: str,
    ) -> Iterator[CodeServer]:
        """Serves ``warm_probe`` unless ``options`` name something else."""
        port = free_port()
        log = directory / "server.log"
        target = options or ("--module-name", "warm_probe")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--port", str(port), "--host", "127.0.0.1", *target],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=code,
                env={**os.environ, "PYTHONPATH": str(code), **environment},
                start_new_session=True,
            )
        server = cls(process, DagsterGrpcClient(host="127.0.0.1", port=port), instance, log)
        try:
            eventually(lambda: process.poll() is not None or server.answers())
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            server.kill()

    def answers(self) -> bool:
        try:
            self.client.ping("")
        except Exception:
            return False
        return True

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def said(self) -> str:
        return self.log.read_text()

    def template(self) -> psutil.Process | None:
        """It is there before the server serves."""
        children = psutil.Process(self.process.pid).children()
        return next((c for c in children if c.name() == template.NAME), None)

    def start(
        self,
        job: str = "look_job",
        *,
        execution: dict[str, Any] | None = None,
        too: dict[str, Any] | None = None,
        **look: Any,
    ) -> DagsterRun:
        """Starts a run; ``look`` is the config of its op of that name, ``too`` of the other."""
        run = self.create(job, execution=execution, too=too, **look)
        result = self.ask(run, job)
        assert result.success, result
        return run

    def create(
        self,
        job: str = "look_job",
        *,
        execution: dict[str, Any] | None = None,
        too: dict[str, Any] | None = None,
        **look: Any,
    ) -> DagsterRun:
        """A run that is not started."""
        ops = {"look": {"config": look}, **({"look_too": {"config": too}} if too else {})}
        run: DagsterRun = self.instance.create_run_for_job(
            defs.get_job_def(job),
            run_config={"ops": ops, **({"execution": execution} if execution else {})},
        )
        return run

    def ask(self, run: DagsterRun, job: str = "look_job") -> StartRunResult:
        """The answer to a StartRun."""
        arguments = ExecuteExternalJobArgs(
            job_origin=self.origin(job), run_id=run.run_id, instance_ref=self.instance.get_ref()
        )
        return deserialize_value(self.client.start_run(arguments), StartRunResult)

    def origin(self, job: str) -> RemoteJobOrigin:
        """A job of its location."""
        server = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=self.client.port)
        return RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), job)

    def cancel(self, run: DagsterRun) -> None:
        self.client.cancel_execution(CancelExecutionRequest(run_id=run.run_id))

    def current_runs(self) -> list[str]:
        answer = self.client.get_current_runs()
        return list(deserialize_value(answer, GetCurrentRunsResult).current_runs)

    def ended(self, run: DagsterRun) -> DagsterRun:
        """The run, when the server is done with it, too."""
        eventually(lambda: self._stored(run).is_finished)
        eventually(lambda: run.run_id not in self.current_runs())
        return self._stored(run)

    def _stored(self, run: DagsterRun) -> DagsterRun:
        stored = self.instance.get_run_by_id(run.run_id)
        assert stored is not None
        return stored


def report(file: Path) -> dict[str, Any]:
    """What a run wrote about its process."""
    eventually(file.exists)
    return dict(json.loads(file.read_text()))
