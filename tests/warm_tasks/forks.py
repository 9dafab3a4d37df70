"""Containers' commands as forks of this process.

Each connection is one command: a fork watches it, and the fork of that is the command.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import selectors
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from run_isolation.dagster.processes import linux

_ORDERS: Final = 64


def serve(address: str) -> None:
    """Serves until standard input ends; in commands' processes it returns when they are over."""
    asked = _serve(address)
    if asked is not None:
        importlib.import_module(asked["module"]).main()


def _serve(address: str) -> dict[str, Any] | None:
    """None at the end; in a command's process, what it is to be."""
    # Nobody asks how the forks ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(f"\0{address}")
        listener.listen(64)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while all(key.fileobj is listener for key, _ in selector.select()):
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    return _begin(connection)
    return None


def _begin(connection: socket.socket) -> dict[str, Any]:
    """The watching fork ends here; what returns is the command's process."""
    os.setsid()
    linux.adopt_orphans()
    _, outputs, _, _ = socket.recv_fds(connection, 1, 2)
    with connection.makefile() as lines:
        asked: dict[str, Any] = json.loads(lines.readline())
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(writer)
    ours = os.getpid()
    command = os.fork()
    if command:
        for output in (0, 1, 2, *outputs):
            os.close(output)
        _watch(connection, reader, command)
    linux.die_with_parent(ours)
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(reader)
    os.close(writer)
    _become(asked, outputs)
    return asked


def _become(asked: dict[str, Any], outputs: list[int]) -> None:
    """Makes this process what the container's would be."""
    _join(asked["pid"])
    for output, number in zip(outputs, (1, 2), strict=True):
        os.dup2(output, number)
        os.close(output)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["directory"])
    sys.path[:0] = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.argv = asked["arguments"]
    tempfile.tempdir = None


def _join(pid: int) -> None:
    """The control groups of another process: its limits are those of its task."""
    own = Path("/proc/self/cgroup").read_text().splitlines()
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        if line in own:
            continue
        _, controllers, path = line.split(":", 2)
        for mounted in Path("/proc/self/mounts").read_text().splitlines():
            _, place, kind, options, *_ = mounted.split()
            if kind == ("cgroup" if controllers else "cgroup2") and set(
                controllers.split(",") if controllers else ()
            ) <= set(options.split(",")):
                (Path(place) / path.lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))


def _watch(connection: socket.socket, wakeup: int, command: int) -> NoReturn:
    """Until the command has ended, or who stands for it has: then nothing of it is left."""
    status: int | None = None
    poll = select.poll()
    for source in (connection.fileno(), wakeup):
        poll.register(source, select.POLLIN)
    while status is None:
        for source, _ in poll.poll():
            if source == wakeup:
                os.read(wakeup, _ORDERS)
            elif connection.recv(_ORDERS):
                os.kill(command, signal.SIGTERM)
            else:
                _kill_all()
                os._exit(0)
        status = _reap().get(command)
    _kill_all()
    code = os.waitstatus_to_exitcode(status)
    with suppress(OSError):
        connection.sendall(str(code if code >= 0 else 128 - code).encode())
    os._exit(0)


def _reap() -> dict[int, int]:
    ended = {}
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = found[1]
    return ended


def _kill_all() -> None:
    while left := linux.descendants(os.getpid()):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.wait()
