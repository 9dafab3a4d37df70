"""A run as its owner sees it, and what the probe's code does in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from run_isolation import tag_names
from tests.e2e.page import Page, PageError
from tests.waiting import PATIENCE_SECONDS, eventually

NON_ISOLATED = {tag_names.ISOLATION: tag_names.DISABLED}
"""Asks for a run without a task of its own."""

ENDED = ("SUCCESS", "FAILURE", "CANCELED")


def process_of(place: Mapping[str, Any]) -> psutil.Process:
    """The process of a `Place` as this machine sees it: its container has a namespace of its own.

    https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
    """
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines)
            user, inside = status["Uid"].split()[0], status["NSpid"].split()[-1]
            if (int(user), int(inside)) == (place["user"], place["pid"]):
                return process
    raise AssertionError(f"there is no process of {place}")


def code_server(process: psutil.Process) -> psutil.Process:
    """The server of a non-isolated run: the outermost of the processes that led to the run's."""
    user = process.uids().real
    inside = (parent for parent in process.parents() if parent.uids().real == user)
    *_, server = (parent for parent in inside if "code-server" in parent.cmdline())
    return server


@dataclass(frozen=True)
class Work:
    """The run config of a job of the probe, and the two files by which a test talks with it."""

    directory: Path
    op: str = "work"
    held: bool = True
    """Whether the run goes on only when the test says so."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """More of the op's config: `fail`, `ignore_signals` ..."""
    name: str = field(default_factory=lambda: uuid4().hex)

    @property
    def report(self) -> Path:
        """Where the code says where it runs."""
        return self.directory / f"{self.name}.json"

    @property
    def go(self) -> Path:
        """What it waits for."""
        return self.directory / f"{self.name}.go"

    def config(self) -> dict[str, Any]:
        """As Dagster takes it."""
        own = {"report_to": str(self.report)} | ({"wait_for": str(self.go)} if self.held else {})
        return {"ops": {self.op: {"config": own | dict(self.more)}}}


@dataclass(frozen=True)
class Run:
    """One run. Everything is asked of the page, at each call anew."""

    id: str
    page: Page
    work: Work | None = None

    def _stored(self) -> Mapping[str, Any]:
        stored = self.page.run(self.id)
        assert stored is not None, f"run {self.id} is deleted"
        return stored

    @property
    def status(self) -> str:
        """Dagster's status: QUEUED, STARTING, STARTED, SUCCESS ..."""
        return str(self._stored()["status"])

    @property
    def tags(self) -> dict[str, str]:
        """All of its tags."""
        return {tag["key"]: tag["value"] for tag in self._stored()["tags"]}

    @property
    def kind(self) -> str | None:
        """`isolated`, `non-isolated`, or None where nobody decided."""
        return self.tags.get(tag_names.KIND)

    @property
    def reason(self) -> str:
        """Why it became that."""
        return self.tags.get(tag_names.REASON, "")

    @property
    def task(self) -> str | None:
        """ARN of the ECS task that executes it, once it is known."""
        return self.tags.get(tag_names.TASK_ARN) or None

    @property
    def messages(self) -> list[str]:
        """What its event log says."""
        return [message for _, message in self.page.events(self.id)]

    @property
    def queued(self) -> bool:
        """Whether it was ever in Dagster's queue."""
        return "RUN_ENQUEUED" in [kind for kind, _ in self.page.events(self.id)]

    def wait_for(self, *statuses: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until it has one of the statuses; return which.

        Raises:
            AssertionError: It ended otherwise.
            TimeoutError: Neither came.
        """
        seen = eventually(
            lambda: status if (status := self.status) in {*statuses, *ENDED} else None,
            lambda: f"run {self.id} is {' or '.join(statuses)}\n{self._story()}",
            seconds,
        )
        assert seen in statuses, f"run {self.id} is {seen}, not {statuses}\n{self._story()}"
        return seen

    def wait_for_place(self, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """What its code says about where it runs; see the probe's `Place`."""
        assert self.work is not None
        report = self.work.report
        eventually(
            lambda: report.exists() or self.status in ENDED,
            lambda: f"run {self.id} reports where it is\n{self._story()}",
            seconds,
        )
        assert report.exists(), f"run {self.id} ended before it worked\n{self._story()}"
        place: dict[str, Any] = json.loads(report.read_text())
        return place

    def go(self) -> None:
        """Let its code go on."""
        assert self.work is not None
        self.work.go.touch()

    def finish(self, status: str = "SUCCESS") -> None:
        """Let its code go on, and wait for the run's end."""
        self.go()
        self.wait_for(status)

    def cancel(self, *, force: bool = False) -> None:
        """Terminate it where it has not ended, and wait until it is over.

        Args:
            force: Mark it as canceled at once. The only way while it is STARTING.
        """
        try:
            self.page.terminate(self.id, force=force)
        except PageError:
            if self.status not in ENDED:
                raise
        self.wait_for(*ENDED)

    def _story(self) -> str:
        stored = self.page.run(self.id)
        if stored is None:
            return "it is deleted"
        said = [f"it is {stored['status']}, tags {self.tags}", *self.messages]
        return "\n".join([*said, *self.page.errors(self.id)])
