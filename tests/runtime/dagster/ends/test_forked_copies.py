"""What copies of a run's process may store: nothing when it is over."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun
from dagster._core.instance.ref import InstanceRef

from run_isolation.dagster.ends.process_end import ProcessEnd, looked_after

SECONDS = 30


def log(ref: InstanceRef, run: DagsterRun, text: str) -> None:
    with DagsterInstance.from_ref(ref) as instance:
        instance.report_engine_event(text, run)


def execute(ref: InstanceRef, run: DagsterRun) -> None:
    """A run that leaves a copy, which logs one thing while it goes on and one when it is over."""
    copy_reads, run_writes = os.pipe()
    run_reads, copy_writes = os.pipe()
    with looked_after(ProcessEnd(ref, run.run_id, step="load")):
        copy = os.fork()
        if copy == 0:
            log(ref, run, "while it goes on")
            os.write(copy_writes, b"x")
            os.read(copy_reads, 1)
            log(ref, run, "when it is over")
            os._exit(0)
        os.read(run_reads, 1)
    os.write(run_writes, b"x")
    os.waitpid(copy, 0)
    log(ref, run, "by itself")


def test_a_copy_logs_while_its_run_goes_on_and_never_after(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = DagsterRun(job_name="job")
        instance.add_run(run)
        process = multiprocessing.get_context("fork").Process(
            target=execute, args=(instance.get_ref(), run)
        )
        process.start()
        process.join(SECONDS)
        assert process.exitcode == 0
        texts = [entry.message for entry in instance.all_logs(run.run_id)]
    assert texts == ["while it goes on", "by itself"]
    assert "has something to log, but its run or step is over" in capfd.readouterr().err
