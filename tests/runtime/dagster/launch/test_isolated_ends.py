"""What isolated runs leave behind: their tasks end soon after them, and the runs say so."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

import pytest
from dagster import DagsterEventType, DagsterRun, DagsterRunStatus

from run_isolation import tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.worker import Exit
from tests.runtime.dagster.account import Stack
from tests.runtime.dagster.launches import Launches
from tests.waiting import eventually
from tests.warm_tasks import command

pytestmark = pytest.mark.e2e

MOST_SECONDS: Final = 25.0
"""From a run's end to its task's: 5 for exit handlers, 5 for the event, and a busy machine."""
LEFT: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "threads": ({"leave": ["thread", "pool", "loop", "native"]}, "threads 'left-thread', "),
    "processes": (
        {"leave": ["program", "deaf_program", "worker", "daemon", "copy_returns", "flush"]},
        "(a copy of the run's process by os.fork())",
    ),
    "deaf exit handler": ({"leave": ["deaf_exit_handler"]}, ""),
    "step": ({"leave": ["thread"]}, "Step work left thread 'left-thread'"),
    "failed": ({"leave": ["exit_handler"], "fail": True}, "in `left_handler` ("),
}
"""Config of the op, and what the run says of it."""
COLD: Final = {
    tag_names.ECS_CONTAINER_OVERRIDES: json.dumps(
        {"environment": [{"name": command.COLD, "value": "1"}]}
    )
}
"""These runs' own processes are what is looked at: none is a fork."""


def said(launches: Launches, run: DagsterRun) -> list[str]:
    entries = launches.instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
    ours = ("running when it ended", "was over")
    return [e.message for e in entries if any(words in e.message for words in ours)]


def test_their_tasks_end_soon_after_them(launches: Launches, stack: Stack, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    runs = {
        name: launches.dequeue(
            launches.create(
                "steps_job" if name == "step" else "work_job",
                tags=COLD,
                config={**config, "append_to": str(ledger)},
            )
        )
        for name, (config, _) in LEFT.items()
    }
    for name, run in runs.items():
        failed = name == "failed"
        ended = launches.ended(run)
        wanted = DagsterRunStatus.FAILURE if failed else DagsterRunStatus.SUCCESS
        assert ended.status is wanted, name
        task_arn = run_record.read(ended).task_arn
        assert task_arn is not None

        def stopped(task_arn: str = task_arn) -> bool:
            return bool(stack.describe(task_arn)["lastStatus"] == "STOPPED")

        began = time.monotonic()
        eventually(stopped, seconds=MOST_SECONDS)
        assert time.monotonic() - began < MOST_SECONDS
        exit_code = stack.describe(task_arn)["containers"][0]["exitCode"]
        assert exit_code == (Exit.RUN_FAILED if failed else Exit.DONE), name
        assert launches.read(run).status is wanted, name
        word = LEFT[name][1]
        texts = said(launches, run)
        assert len(texts) == bool(word), texts
        assert all(word in text for text in texts), texts
    assert "flushed" in ledger.read_text()
