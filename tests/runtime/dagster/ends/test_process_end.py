"""The process of a step: its events reach the executor, and it ends whatever else does not."""

from __future__ import annotations

import multiprocessing
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from dagster import DagsterInstance

from run_isolation.dagster.ends import own_keeper, process_end

GRACE_SECONDS: Final = 0.2
SECONDS: Final = 10
MANY: Final = 200
"""Of 2 kB each, and so more than the 64 KiB that a pipe takes."""

forking: Final = multiprocessing.get_context("fork")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the executor gives to the process of a step."""
    monkeypatch.setattr(own_keeper, "GRACE_SECONDS", GRACE_SECONDS)
    monkeypatch.setattr(own_keeper, "TELL_SECONDS", GRACE_SECONDS)
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield SimpleNamespace(
            instance_ref=instance.get_ref(),
            dagster_run=SimpleNamespace(run_id="a run"),
            step_key="load",
        )


def test_all_events_of_a_step_reach_an_executor_that_is_busy(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(event_queue: Any, _: object) -> None:
        for number in range(MANY):
            event_queue.put((number, "x" * 2000))

    monkeypatch.setattr(process_end, "_execute_command", execute)
    events = forking.Queue()
    step = forking.Process(target=process_end.execute_step, args=(events, command))
    step.start()
    step.join(5 * GRACE_SECONDS)
    assert [events.get(timeout=SECONDS)[0] for _ in range(MANY)] == list(range(MANY))
    step.join(SECONDS)
    assert step.exitcode == 0


def test_a_step_ends_where_the_storage_does_not_answer(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exit code is that of the step, which had succeeded."""

    def execute(event_queue: Any, _: object) -> None:
        threading.Thread(target=time.sleep, args=(2 * SECONDS,)).start()

    monkeypatch.setattr(process_end, "_execute_command", execute)
    monkeypatch.setattr(DagsterInstance, "from_ref", lambda _: time.sleep(2 * SECONDS))
    step = forking.Process(target=process_end.execute_step, args=(forking.Queue(), command))
    step.start()
    step.join(SECONDS)
    try:
        assert step.exitcode == 0
    finally:
        step.kill()
