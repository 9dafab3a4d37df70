"""A launcher process that is killed at a step of its launch.

Run as `python -m tests.faults.killed_launcher` in the environment of a daemon. Reads lines of run
id and number of a step; launches each run in a child, which kills itself before that step; answers
with the step's name, or with nothing where the launch had fewer steps.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.httpsession import URLLib3Session
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget


class Steps:
    """Counts what a launch does to the world, and lets something strike before the last one."""

    def __init__(self, last: int, strike: Callable[[str], None]) -> None:
        self._left = last
        self._strike = strike

    def watch(self, owner: Any, method: str, name: Callable[..., str]) -> None:
        """Makes each call of a method one step, and its return another one."""
        original = getattr(owner, method)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.step(f"before {name(*args, **kwargs)}")
            result = original(*args, **kwargs)
            self.step(f"after {name(*args, **kwargs)}")
            return result

        setattr(owner, method, watched)

    def step(self, name: str) -> None:
        """One more step."""
        self._left -= 1
        if self._left == 0:
            self._strike(name)


def steps_of_a_launch(instance: DagsterInstance, last: int, strike: Callable[[str], None]) -> None:
    """Makes calls of AWS and writes to the storage the steps of this process from now on."""
    steps = Steps(last, strike)
    steps.watch(URLLib3Session, "send", lambda session, request: _operation(request))
    steps.watch(instance, "add_run_tags", lambda run_id, tags: f"tags {', '.join(sorted(tags))}")
    steps.watch(instance, "handle_new_event", lambda event, **_: f"event {_kind(event)}")


def _launch(run_id: str, last: int, answer: Callable[[str], None]) -> None:
    home = Path(os.environ["DAGSTER_HOME"])
    with (
        DagsterInstance.get() as instance,
        WorkspaceProcessContext(
            instance, WorkspaceFileTarget([str(home / "servers.yaml")])
        ) as context,
    ):
        workspace = context.create_request_context()

        def strike(step: str) -> None:
            answer(step)
            os.kill(os.getpid(), signal.SIGKILL)

        steps_of_a_launch(instance, last, strike)
        instance.launch_run(run_id, workspace)


def _operation(request: Any) -> str:
    target = request.headers.get("X-Amz-Target", b"?")
    text = target.decode() if isinstance(target, bytes) else str(target)
    return text.rpartition(".")[2]


def _kind(event: Any) -> str:
    return str(event.dagster_event.event_type_value if event.dagster_event else event.user_message)


def main() -> None:
    """Serves standard input."""
    for line in sys.stdin:
        run_id, last = line.split()
        print(_launch_in_child(run_id, int(last)), flush=True)


def _launch_in_child(run_id: str, last: int) -> str:
    """Name of the step that the child died at; empty where it did not."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _launch(run_id, last, lambda name: _write(writer, name))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        died_at = answer.read()
    _, status = os.waitpid(child, 0)
    if not died_at and status != 0:
        raise RuntimeError(f"the launch failed before step {last}; its error is above")
    return died_at


def _write(pipe: int, text: str) -> None:
    os.write(pipe, text.encode())


if __name__ == "__main__":
    main()
