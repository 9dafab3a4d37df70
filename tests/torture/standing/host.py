"""The standing task: one code server in its container, which is replaced as ECS replaces one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from run_isolation.dagster.launch.non_isolated_start import RefusedError
from run_isolation.server_identity import ServerIdentity
from tests.code_server.container import Limits
from tests.code_server.servers import ADDRESS, TASK, CodeServer, Kind, serving
from tests.torture.standing import conditions
from tests.torture.standing.conditions import Conditions

CLUSTER: Final = "arn:aws:ecs:us-east-1:123456789012:cluster/run-isolation-test"
LOCATION: Final = Path(__file__).parent / "location"
_TARGET: Final = ("-m", "tormented")


@dataclass
class Standing:
    """One standing task and its server."""

    identity: ServerIdentity
    server: CodeServer

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.server.process.pid

    @property
    def process_limit(self) -> Path | None:
        """The file that says how many processes there may be; None where nothing limits them."""
        directories = [file.parent for file in self.server.container.procs]
        files = [directory / "pids.max" for directory in directories]
        return next((file for file in files if file.exists()), None)

    def resources(self) -> dict[str, int]:
        """How many threads and descriptors the server has, and processes its container."""
        threads = len(os.listdir(f"/proc/{self.pid}/task"))
        descriptors = len(os.listdir(f"/proc/{self.pid}/fd"))
        processes = len(self.server.container.processes())
        return {"threads": threads, "descriptors": descriptors, "processes": processes}

    def kill(self) -> None:
        """Ends all that is in the container at once."""
        # First, so that nothing of it is told or cleaned up.
        with suppress(psutil.Error):
            psutil.Process(self.pid).kill()
        self.server.container.kill()


@dataclass
class Host:
    """The standing task of the only code location.

    Attributes:
        kind: Which program.
        place: For its log, and for the observer's word of it.
        limits: Of each container.
        environment: Of each server.
        conditions: Hear when there is none.
        current: The one that serves; None while there is none.
        tasks: All that there were; True for those that are over.
    """

    kind: Kind
    place: Path
    limits: Limits
    environment: dict[str, str]
    conditions: Conditions
    current: Standing | None = None
    tasks: dict[str, bool] = field(default_factory=dict)
    _exits: ExitStack = field(default_factory=ExitStack)

    def start(self) -> Standing:
        """A new task at a new address."""
        arn = f"{TASK['TaskARN']}{len(self.tasks)}"
        self.tasks[arn] = False
        server = self._exits.enter_context(
            serving(
                self.kind,
                LOCATION,
                _TARGET,
                self.place / "server.log",
                limits=self.limits,
                task={**TASK, "TaskARN": arn},
                environment=self.environment,
            )
        )
        identity = ServerIdentity(arn, f"{ADDRESS}:{server.control_port}")
        self.current = Standing(identity, server)
        self._tell({"pid": self.current.pid, "address": identity.address})
        return self.current

    def replace(self) -> None:
        """Kills the task, and starts another one."""
        before = self.current
        assert before is not None
        self.conditions.begin(conditions.SERVER)
        self.current = None
        self._tell({})
        before.kill()
        self.tasks[before.identity.task_arn] = True
        self._exits.close()
        self.start()
        self.conditions.end(conditions.SERVER)

    def stop(self) -> None:
        """Ends it."""
        self._tell({})
        if self.current is not None:
            self.current.kill()
        self._exits.close()

    def servers(self) -> Iterator[ServerIdentity]:
        """Whom a launch asks.

        Raises:
            RefusedError: There is none.
        """
        while True:
            current = self.current
            if current is None:
                raise RefusedError("The name leads to nobody.")
            yield current.identity

    def _tell(self, what: dict[str, Any]) -> None:
        draft = self.place / "server.draft"
        draft.write_text(json.dumps(what))
        draft.rename(self.place / "server")


@dataclass(frozen=True)
class Ecs:
    """Stands for ECS, which says truly which tasks are over."""

    host: Host

    def describe_tasks(
        self, *, cluster: str, tasks: Sequence[str], include: Sequence[str]
    ) -> dict[str, Any]:
        """Those that there were or are."""
        known = [(arn, self.host.tasks[arn]) for arn in tasks if arn in self.host.tasks]
        return {"tasks": [_task(arn, over=over) for arn, over in known]}

    def get_paginator(self, operation: str) -> Ecs:
        """Of ListTasks."""
        return self

    def paginate(self, **_: object) -> list[dict[str, list[str]]]:
        """No run has a task of its own here."""
        return [{"taskArns": []}]


def _task(arn: str, *, over: bool) -> dict[str, Any]:
    status = "STOPPED" if over else "RUNNING"
    why = {"stopCode": "EssentialContainerExited", "stoppedReason": "Killed"} if over else {}
    return {"taskArn": arn, "lastStatus": status, "desiredStatus": status, **why}
