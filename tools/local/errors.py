"""Errors of `make up` and `make down`, and the exit codes that tell them apart."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """How `python -m tools.local` ends. Click itself ends with 2 on wrong usage."""

    DONE = 0
    NOT_RUNNING = 3
    BUSY = 4
    NO_CLI = 10
    NO_ACCOUNT = 11
    """Neither without a Python environment for its tasks."""
    NOT_PROVISIONED = 12
    NOT_ANSWERING = 13
    NO_CONTROL_PLANE = 14
    NOT_LAUNCHED = 15
    RUN_IN_THE_WRONG = 16
    """A run did not become what it should, or not where it should."""


class StepError(Exception):
    """A step of `make up` failed.

    Args:
        reason: what happened and how to mend it.
        log: a file that says more.
    """

    def __init__(self, reason: str, log: Path | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log
