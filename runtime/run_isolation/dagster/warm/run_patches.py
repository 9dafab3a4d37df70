"""What a run here does more cheaply than in an interpreter of its own, with the same outcome.

Runs in: template, which installs them; run and step, which have them.

Found in profiles (``python -m bench.warm_start.profile``). Each interpreter beside a run has 4 MiB.
"""

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any, Final

import dagster._core.execution.compute_logs
import dagster._core.executor.multiprocess
import dagster._grpc.impl
from dagster import DagsterInstance
from dagster._core.execution.compute_logs import _fileno
from dagster._core.instance.ref import InstanceRef
from dagster._utils import _termination_handler

from run_isolation import outputs
from run_isolation.dagster.patching import replaced
from run_isolation.dagster.warm import quick_storage
from run_isolation.default_instance import COMPUTE_LOGS_BUCKET

_PID: Final = "--pid"
"""Option of GNU's ``tail``: it writes what is left, and ends, when that process has ended
(https://www.gnu.org/software/coreutils/manual/html_node/tail-invocation.html)."""
_TAIL_SECONDS: Final = "DAGSTER_COMPUTE_LOG_TAIL_WAIT_AFTER_FINISH"
"""Dagster's variable: how long ``tail`` may go on after a step."""


@contextmanager
def installed() -> Iterator[None]:
    """In the template: what runs and steps find.

    Raises:
        SeamError: This version of Dagster is not built as we know it.
    """
    compute_logs = dagster._core.execution.compute_logs
    with ExitStack() as seams:
        seams.enter_context(quick_storage.opened_by(open_instance))
        if _tail_knows_pid():
            seams.enter_context(replaced(compute_logs, "execute_posix_tail", tail))
        for module in (dagster._core.executor.multiprocess, dagster._grpc.impl):
            seams.enter_context(
                replaced(module, "start_termination_thread", start_termination_thread)
            )
        if models := s3_models():
            seams.enter_context(models.installed())
        yield


def prepare() -> None:
    """In the template: makes what runs and steps use. The server has no use for it."""
    if models := s3_models():
        models.parse()
    if outputs.are_kept():
        importlib.import_module(outputs.IO_MANAGER).prepare()


def s3_models() -> ModuleType | None:
    """The module ``aws_models``, where something goes to S3: the AWS SDK has 8 MiB."""
    if COMPUTE_LOGS_BUCKET not in os.environ and not outputs.are_kept():
        return None
    return importlib.import_module("run_isolation.dagster.warm.aws_models")


def open_instance(ref: InstanceRef) -> DagsterInstance:
    """Dagster's ``DagsterInstance.from_ref``, with known tables, connections and log files."""
    return quick_storage.open_in_run(_with_own_log_files(ref))


def _with_own_log_files(ref: InstanceRef) -> InstanceRef:
    """Lets compute logs wait for their upload in the run's own directory, which goes with it.

    Dagster has them in /tmp, where those of a run that is killed would stay.
    """
    logs = ref.compute_logs_data
    if logs.class_name != "S3ComputeLogManager":
        return ref
    config = {"local_dir": tempfile.gettempdir(), **logs.config_dict}
    return ref._replace(compute_logs_data=quick_storage.with_config(logs, config))


@functools.cache
def _tail_knows_pid() -> bool:
    """Whether this image's ``tail`` has the option; BusyBox's has not."""
    try:
        said = subprocess.run(["tail", "--help"], capture_output=True, check=False)  # noqa: S607
    except OSError:
        return False
    return _PID.encode() in said.stdout


@contextmanager
def tail(path: str, stream: Any) -> Iterator[tuple[int, None]]:
    """Dagster's own, but for the interpreter that ends ``tail`` when this process is killed.

    GNU's does that by itself. There is one for each of two streams of each step.

    Yields:
        Process id of ``tail``, and none of an interpreter.
    """
    options = [_PID, str(os.getpid()), "-F", "-c", "+0", path]
    number = _fileno(stream)  # type: ignore[no-untyped-call]
    process = subprocess.Popen(["tail", *options], stdout=number)  # noqa: S607
    try:
        yield process.pid, None
    finally:
        time.sleep(float(os.environ.get(_TAIL_SECONDS, "0")))
        process.terminate()
        process.wait()


def start_termination_thread(
    should_stop_event: threading.Event, is_done_event: threading.Event
) -> None:
    """Dagster's own, but that it makes no ``multiprocessing.Event`` to learn its type.

    That would start a resource tracker, an interpreter, in every run and step.
    """
    threading.Thread(
        target=_termination_handler,
        args=(should_stop_event, is_done_event),
        name="termination-handler",
        daemon=True,
    ).start()
