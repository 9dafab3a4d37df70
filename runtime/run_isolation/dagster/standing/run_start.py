"""The process of one run: how it is made, and what it says first.

Dagster's own StartRun (dagster/_grpc/server.py) starts it with the lock of all records held, which
a cancel needs, too. So the server has its own, of the same parts.

Runs in: server.
"""

from __future__ import annotations

import queue
import sys
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any, Final

from dagster import _check as check
from dagster._core.instance.ref import InstanceRef
from dagster._grpc.impl import IPCErrorMessage, StartRunInSubprocessSuccessful
from dagster._grpc.types import ExecuteExternalJobArgs, StartRunResult
from dagster._utils.error import serializable_error_info_from_exc_info

from run_isolation.dagster.ends import run_process

_LOOK_SECONDS: Final = 0.1
"""Between two looks whether a process that says nothing is still there."""


@dataclass(frozen=True)
class RunAsked:
    """A run that is to be started.

    Attributes:
        run_id: The run.
        instance: Whose it is.
        serialized: The call's arguments, as the run's process reads them.
        job: What is executed.
    """

    run_id: str
    instance: InstanceRef
    serialized: str
    job: Any


def asked(servicer: Any, args: ExecuteExternalJobArgs, serialized: str) -> RunAsked:
    """What a StartRun asks for.

    Raises:
        Exception: The servicer has no such job.
    """
    origin = args.job_origin
    loaded = check.not_none(servicer._loaded_repositories)
    repository = loaded.reconstructables_by_name[origin.repository_origin.repository_name]
    job = repository.get_reconstructable_job(origin.job_name)
    return RunAsked(args.run_id, check.not_none(args.instance_ref), serialized, job)


@dataclass(frozen=True)
class RunProcess:
    """The process of a run, and what connects the server with it."""

    run_id: str
    process: Any
    cancel: Any
    events: Any

    @classmethod
    def made(cls, run: RunAsked, context: BaseContext) -> RunProcess:
        """One that is not started yet."""
        events, cancel = context.Queue(), context.Event()
        arguments = [run.serialized, run.job, events, cancel]
        process = context.Process(  # type: ignore[attr-defined]  # of each context that there is
            target=run_process.start_run, args=arguments
        )
        return cls(run.run_id, process, cancel, events)

    def first_word(self) -> StartRunResult:
        """Waits until it has begun with its run, or could not, or is gone."""
        while True:
            # Asked first: it may say its word and end while this thread gets no CPU.
            is_alive = self.process.is_alive()
            try:
                word = self.events.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if is_alive:
                    continue
                why = (
                    f"GRPC server: Subprocess for {self.run_id} terminated unexpectedly with exit "
                    f"code {self.process.exitcode}"
                )
                return refusal(why)
            if isinstance(word, StartRunInSubprocessSuccessful):
                return _result(success=True)
            if isinstance(word, IPCErrorMessage):
                return _result(
                    success=False, message=word.message, error=word.serializable_error_info
                )


def refusal(why: str) -> StartRunResult:
    """The answer of a run that is not started."""
    return _result(success=False, message=why)


def failure() -> StartRunResult:
    """The answer after the exception that is being handled."""
    return _result(success=False, error=serializable_error_info_from_exc_info(sys.exc_info()))


def _result(*, success: bool, message: str | None = None, error: Any = None) -> StartRunResult:
    return StartRunResult(success=success, message=message, serializable_error_info=error)
