"""A caller as a process of its own, which can be stopped and killed.

It reads one command a line from standard input and answers with one line of JSON.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

from bench.slots.registry import CONTENDERS


class Caller:
    """Another process, seen from here. What it is asked it does before the call returns."""

    def __init__(self, contender: str, table: str, limit: int, lease_seconds: float) -> None:
        arguments = json.dumps([contender, table, limit, lease_seconds])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "bench.slots.caller", arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def acquire(self, who: str, wait_seconds: float = 0.0) -> bool | str:
        """Whether it was told that it is in; the error's type where there was one."""
        return self._ask("acquire", who, wait_seconds)

    def release(self, who: str) -> bool | str:
        """True, or the error's type."""
        return self._ask("release", who)

    def free(self, who: str) -> bool | str:
        """Whether the library has a way to free another caller's slot."""
        return self._ask("free", who)

    def stop(self) -> None:
        """All its threads stand still, as on an overloaded or suspended machine."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `stop`."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """It ends at once, releasing nothing."""
        self._process.kill()
        self._process.wait()

    def _ask(self, *command: object) -> bool | str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        answer: bool | str = json.loads(self._process.stdout.readline())
        return answer


def main() -> None:
    """The process itself."""
    answers, sys.stdout = sys.stdout, sys.stderr  # one of the libraries prints
    name, *place = json.loads(sys.argv[1])
    caller = CONTENDERS[name](*place)
    for line in sys.stdin:
        what, *details = json.loads(line)
        print(json.dumps(_do(caller, what, details)), file=answers, flush=True)


def _do(caller: Any, what: str, details: list[Any]) -> bool | str:
    try:
        answer = getattr(caller, what)(*details)
    except Exception as error:  # whatever a library raises is its answer
        return type(error).__name__
    return answer is not False


if __name__ == "__main__":
    main()
