"""The first process of a container: starts its command and outlives nothing.

Run as a script by `localaws.ecs.process`, with the standard library only, so that a container
starts within milliseconds. It is the parent of the container's command and, as a subreaper, of
every process that the command leaves behind. It kills all of them when the command ends (as the
end of a PID namespace would), when it is told to, and when the account's process is gone.

In a sandbox the command is bubblewrap's, which says by `--info-fd` who the first process in it is.

Control protocol, on standard input, one byte each: `T` sends SIGTERM to the command, `K` kills
the container; end of file means that the account is gone. The exit code is the command's, or
128 plus the signal's number, as Docker reports it:
https://docs.docker.com/engine/containers/run/#exit-status
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn

# From <linux/prctl.h>.
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# Where bubblewrap is told to write what it has made.
INFO_FD = 3

# How often it is looked, every 10 ms, whether a sandbox's first process is there.
ATTEMPTS = 200

# Docker's exit code for a command that cannot be executed.
CANNOT_EXECUTE = 126


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def _become_command(spec: dict[str, Any]) -> NoReturn:
    """Turn this forked process into the container's command."""
    argv = spec["argv"]
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for procs in spec["cgroups"]:
            with open(procs, "w") as file:
                file.write(str(os.getpid()))
        signal.set_wakeup_fd(-1)
        # A shell has its background jobs ignore SIGINT, and Python ignores SIGPIPE: a command would
        # inherit it. Dagster's server takes SIGTERM as SIGINT, so ECS could not stop it.
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        devnull = os.open(os.devnull, os.O_RDONLY)
        os.dup2(devnull, 0)
        os.chdir(spec["cwd"])
        if spec["info"]:
            info = os.open(
                spec["info"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
            )
            os.dup2(info, INFO_FD)
        os.execvp(argv[0], argv)  # noqa: S606 - a container's command is run as it is
    except OSError as error:
        os.write(2, f"cannot start {argv[0]!r}: {error}\n".encode())
    os._exit(CANNOT_EXECUTE)


def _families() -> dict[int, list[int]]:
    """Return the ids of all processes by their parents'."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                # The command name, in parentheses, may hold spaces: proc_pid_stat(5).
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(entry))
    return children


def _descendants(root: int) -> list[int]:
    """Return the ids of all processes below `root`, itself left out."""
    children = _families()
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


class Supervisor:
    """Watches one container's command."""

    def __init__(self, command: int, account: int, wakeup: int, spec: dict[str, Any]) -> None:
        self._command = command
        self._spec = spec
        self._account = account
        self._wakeup = wakeup
        self._status: int | None = None

    def run(self) -> int:
        """Serve until the command has ended and nothing of it is left; return its exit code."""
        poll = select.poll()
        for fd in (0, self._account, self._wakeup):
            poll.register(fd, select.POLLIN)
        while self._status is None:
            for fd, _ in poll.poll():
                if fd == self._wakeup:
                    os.read(fd, 4096)
                elif fd == self._account or not self._obey(os.read(0, 64)):
                    self._kill_everything()
            self._reap()
        self._kill_everything()
        code = os.waitstatus_to_exitcode(self._status)
        return code if code >= 0 else 128 - code

    def _obey(self, orders: bytes) -> bool:
        """Carry out orders; False when the account is gone or wants the container killed."""
        if b"T" in orders and self._status is None:
            self._terminate()
        return bool(orders) and b"K" not in orders

    def _terminate(self) -> None:
        """Send SIGTERM to the command; in a sandbox that is just being made, once it is there."""
        for _ in range(ATTEMPTS):
            command = self._first_in_sandbox() if self._spec["info"] else self._command
            if command is not None:
                try:
                    os.kill(command, signal.SIGTERM)
                except ProcessLookupError:
                    return
                return
            time.sleep(0.01)

    def _first_in_sandbox(self) -> int | None:
        try:
            with open(self._spec["info"]) as file:
                first = int(json.load(file)["child-pid"])
        except (OSError, ValueError):
            return None
        if not self._spec["init"]:
            return first
        # What loses its parent becomes the init's child, too: the command was there before.
        return min(_families().get(first, []), default=None)

    def _reap(self) -> bool:
        """Collect ended children; False when none is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._command:
                self._status = status

    def _kill_everything(self) -> None:
        # A process may fork while the list is read: go on until no child is left.
        while self._reap():
            for pid in _descendants(os.getpid()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            select.select([self._wakeup], [], [], 0.05)


def main() -> int:
    """Run the container described by the JSON text in the first argument."""
    spec = json.loads(sys.argv[1])
    account = os.pidfd_open(spec["account"])
    if os.getppid() != spec["account"]:
        return 128 + signal.SIGKILL
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda signum, frame: None)
    signal.set_wakeup_fd(writer)
    command = os.fork()
    if command == 0:
        _become_command(spec)
    devnull = os.open(os.devnull, os.O_WRONLY)
    # Only the container may keep the pipe of its output open.
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    return Supervisor(command, account, reader, spec).run()


if __name__ == "__main__":
    os._exit(main())
