"""A worker that is ours in everything but the run: `run-isolation run` with a run that is a stub.

It claims the run, looks whether somebody still wants it and notes its task, all by the real code.
The run itself is Dagster's events without Dagster's execution, which takes seconds to import.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.torture.launches import bodies
from tests.torture.launches.ledger import BEGAN, ENDED, Ledger

MIB: Final = 2**20
MOST_MIB: Final = 4096
_BODIES: Final = {"_execute_run_command_body": False, "_resume_run_command_body": True}
"""Dagster's functions that the worker calls, and whether they go on with a run that has begun."""


@dataclass(frozen=True)
class Run:
    """The stub of one run."""

    instance: Any
    run_id: str
    body: bodies.Body
    ledger: Ledger
    watch: Callable[[Any], None]
    """Dagster calls it with each event, once that is stored."""

    def execute(self, *, resumes: bool) -> int:
        """As Dagster's ``_execute_run_command_body``, or ``_resume_…``; returns its exit code."""
        from dagster import DagsterEventType, DagsterRunStatus
        from dagster._core.errors import DagsterExecutionInterruptedError
        from dagster._utils.interrupts import raise_interrupts_as

        run = self.instance.get_run_by_id(self.run_id)
        if run is None:
            raise RuntimeError(f"run {self.run_id} was deleted")
        if self.body.dies == "after the claim":
            os.kill(os.getpid(), signal.SIGKILL)
        # Meanwhile Dagster imports the user's code.
        time.sleep(self.body.import_seconds)
        run = self.instance.get_run_by_id(self.run_id)
        if run is None:
            raise RuntimeError(f"run {self.run_id} was deleted")
        # And now it prepares the execution. It does not look at the run again.
        time.sleep(self.body.prepare_seconds)
        if not resumes:
            if run.status not in (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING):
                self.instance.report_engine_event("Ignoring a duplicate run.", run)
                return 0
            try:
                self.watch(self._report(DagsterEventType.RUN_START))
            except Exception:
                return 1
        try:
            with raise_interrupts_as(DagsterExecutionInterruptedError):
                self._work()
        except DagsterExecutionInterruptedError:
            return self._interrupted()
        except RuntimeError as error:
            self.instance.report_run_failed(run, f"The run's own failure: {error}")
            return 1
        self._report(DagsterEventType.RUN_SUCCESS)
        return 0

    def _work(self) -> None:
        self.ledger.note(BEGAN, self.run_id)
        time.sleep(self.body.seconds)
        if self.body.end == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.body.end == "exit 0":
            os._exit(0)
        if self.body.end == "memory":
            _taken = [bytearray(b"x" * MIB) for _ in range(MOST_MIB)]
        if self.body.end == "fail":
            raise RuntimeError("it was to fail")
        self.ledger.note(ENDED, self.run_id)

    def _interrupted(self) -> int:
        """What Dagster does then: dagster/_core/execution/api.py, at its end."""
        from dagster import DagsterRunStatus

        run = self.instance.get_run_by_id(self.run_id)
        if run is None:
            return 1
        if run.status is DagsterRunStatus.CANCELING:
            self.instance.report_run_canceled(run, message="Canceled while it went on.")
        elif run.status in (DagsterRunStatus.CANCELED, DagsterRunStatus.FAILURE):
            self.instance.report_engine_event("Interrupted after it had ended.", run)
        else:
            self.instance.report_run_failed(run, f"{bodies.NOBODY_ASKED} treating as failure.")
        return 1

    def _report(self, kind: Any) -> Any:
        from dagster import DagsterEvent

        run = self.instance.get_run_by_id(self.run_id)
        if run is None:
            raise RuntimeError(f"run {self.run_id} was deleted")
        event = DagsterEvent(kind.value, job_name=run.job_name)
        self.instance.report_dagster_event(event, run_id=self.run_id)
        return event


def main() -> None:
    """`run-isolation run`."""
    run_id = os.environ["RUN_ISOLATION_RUN_ID"]
    directory = Path(os.environ[bodies.DIRECTORY])
    wanted = bodies.read(directory, run_id)
    if wanted.dies == "before the claim":
        os.kill(os.getpid(), signal.SIGKILL)
    from run_isolation.cli.run import command
    from run_isolation.dagster import worker

    def body(*, resumes: bool) -> Callable[..., int]:
        def execute(run_id: str, instance: Any, watch: Callable[[Any], None], **_: Any) -> int:
            run = Run(instance, run_id, wanted, bodies.ledger(directory), watch)
            return run.execute(resumes=resumes)

        return execute

    if bodies.NO_CLAIM in os.environ:
        vars(worker)["claim"] = lambda *_: None
    for name, resumes in _BODIES.items():
        setattr(worker, name, body(resumes=resumes))
    command.main([], prog_name="run-isolation run")


if __name__ == "__main__":
    main()
