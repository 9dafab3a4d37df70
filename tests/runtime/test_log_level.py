"""Our loggers write where the environment says so, and say of each run what was decided and why."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from unittest.mock import MagicMock

import pytest

from run_isolation import Holder, Slots
from run_isolation.log_level import VARIABLE, use_level
from run_isolation.server_identity import ServerIdentity
from run_isolation.standing.hosting import Hosting

SERVER = ServerIdentity("arn:task/1", "10.0.0.1:4000")
OURS = logging.getLogger("run_isolation")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    level, handlers = OURS.level, list(OURS.handlers)
    yield
    OURS.setLevel(level)
    OURS.handlers[:] = handlers


def test_without_a_word_nothing_is_changed() -> None:
    before = list(OURS.handlers)
    use_level({})
    assert (OURS.level, OURS.handlers) == (logging.NOTSET, before)


def test_an_unknown_level_is_refused_by_every_command() -> None:
    command = [sys.executable, "-c", "from run_isolation.cli import main; main()", "launch"]
    told = subprocess.run(
        command, env={VARIABLE: "loud"}, capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert f"{VARIABLE} is 'loud'. Allowed: debug, info, warning, error." in told.stderr


def test_a_level_is_that_of_all_our_modules(capsys: pytest.CaptureFixture[str]) -> None:
    use_level({VARIABLE: "Debug"})
    logging.getLogger("run_isolation.slots.slots").debug("Run %s.", "a")
    assert "DEBUG run_isolation.slots.slots: Run a." in capsys.readouterr().err


def test_slots_and_server_say_why_of_each_run(
    slots: Slots, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="run_isolation")
    slots.acquire(Holder("first", 1, "sales"))
    slots.acquire(Holder("second", 1, "sales"))
    hosting: Hosting[str] = Hosting(SERVER, lambda: slots, logging.getLogger("test"))
    launch = MagicMock()
    launch.refuse.side_effect = str
    for run_id in ("first", "first", "second"):
        hosting.start(run_id, 1, launch)
    hosting.ended("first")
    hosting.close()
    said = "\n".join(caplog.messages)
    for expected in (
        "Run first, attempt 1, asked for a slot: Acquired(",
        "Run second, attempt 1, asked for a slot: Denied(",
        "Run first: signature of ServerIdentity(",
        "Run first, attempt 1, is started",
        "Run first, attempt 1, was asked for before.",
        "Run second, attempt 1, is refused: It no longer holds its slot.",
        "Run first is over here.",
        "Run first: release of its slot is done.",
    ):
        assert expected in said, expected
