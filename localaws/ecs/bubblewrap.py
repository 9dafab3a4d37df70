"""Keeps each container apart: its own files, processes and kernel user, by bubblewrap as root.

A container sees its image, the system's programs and its own writable directories; neither this
checkout nor the account's state nor another task's files. It has a process namespace of its own.
Its kernel user is its task's alone, so that it can't signal, trace or read another task's processes
(`bwrap --unshare-user` would map all tasks to one kernel user). It shares the network, in which
each task has an address of its own. https://github.com/containers/bubblewrap
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from localaws.ecs import idmap
from localaws.ecs.addresses import NETWORK, kernel_user
from localaws.ecs.images import Image, ImageConfig
from localaws.ecs.process import ContainerProcess
from localaws.ecs.sandbox import PATH, ContainerFiles, NoSandbox, Sandbox, Start, first_process
from localaws.ecs.supervisor import INFO_FD

#: Of this machine's system, in every container. `/etc` without this machine's users and names.
_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc")
#: As images/Dockerfile makes the user.
_HOMES: Final = Path("/home")
_START: Final = "/run/start"
_TRIAL_SECONDS: Final = 20.0
_NAMESPACES: Final = ("--unshare-pid", "--unshare-ipc", "--unshare-uts")
#: To become the task's user, who has none.
_CAPABILITIES: Final = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")


class Bubblewrap:
    """The sandbox of one container. The caller is root."""

    def __init__(self, files: ContainerFiles) -> None:
        self._files = files
        self._info = files.own / "info.json"
        self._home = str(_HOMES / files.image.config.User)
        self._writable = {
            path: files.own / name
            for path, name in {self._home: "home", "/tmp": "tmp", "/var/tmp": "var-tmp"}.items()  # noqa: S108
        }
        for path, directory in self._writable.items():
            directory.mkdir(parents=True)
            os.chown(directory, files.user, files.user)
            directory.chmod(0o755 if path == self._home else 0o1777)
        self._written = self._write_etc()

    @property
    def environment(self) -> dict[str, str]:
        """Return the image's environment."""
        image = self._files.image
        path = f"{image.python}/bin:{PATH}"
        return {"PATH": path, "HOME": self._home, **image.environment}

    def find(self, path: str) -> Path | None:
        """Return where a path of the container is on this machine."""
        inside = Path(os.path.normpath(path))
        places = dict(self._places())
        for place in sorted(places, key=len, reverse=True):
            if inside.is_relative_to(place):
                return places[place] / inside.relative_to(place)
        return None

    def start(self, argv: Sequence[str], cwd: str, environment: Mapping[str, str]) -> Start:
        """Return the command that makes the sandbox and runs `argv` as its task's user in it.

        The environment is the command's alone: variables such as LD_PRELOAD must not reach what
        runs as root before it.
        """
        self._write_start(environment)
        command = [*self._owned_mounts(), _program("bwrap"), "--die-with-parent"]
        command += ["--info-fd", str(INFO_FD), "--hostname", self._hostname, *_NAMESPACES]
        command += [word for capability in _CAPABILITIES for word in ("--cap-add", capability)]
        if not self._files.init:
            command += ["--as-pid-1"]
        command += [*self._mounts(), "--chdir", cwd, "--", *self._as_user(argv)]
        return Start(command, Path("/"), {}, self._info, self._files.init)

    def enter(self, argv: Sequence[str], cwd: str) -> Start:
        """Return the command that runs `argv` in the sandbox that `start` made."""
        with contextlib.suppress(OSError, ValueError):
            inside = ["--target", str(first_process(self._info)), f"--wdns={cwd}"]
            inside += ["--mount", "--pid", "--ipc", "--uts"]
            command = [_program("nsenter"), *inside, "--", *self._as_user(argv)]
            return Start(command, Path("/"), {})
        return Start([_program("false")], Path("/"), {})  # there is no sandbox yet

    @property
    def _hostname(self) -> str:
        return f"ip-{self._files.address.replace('.', '-')}.ec2.internal"

    def _owned_mounts(self) -> list[str]:
        """What mounts the shared directories as the task's user's, where there are any."""
        if not self._files.mounts:
            return []
        script = [sys.executable, "-I", "-S", idmap.__file__, str(self._files.user)]
        for number, source in enumerate(self._files.mounts.values()):
            script += [str(source), str(self._mounted(number))]
        return [*script, "--"]

    def _mounted(self, number: int) -> Path:
        return self._files.own / "mounts" / str(number)

    def _as_user(self, argv: Sequence[str]) -> list[str]:
        user = str(self._files.user)
        own = ["--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs"]
        own += ["--inh-caps=-all", "--bounding-set=-all"]
        return [_program("setpriv"), *own, "/bin/sh", _START, *argv]

    def _write_start(self, environment: Mapping[str, str]) -> None:
        """Write the script that gives the command its environment, which no command line tells."""
        pairs = " ".join(shlex.quote(f"{name}={value}") for name, value in environment.items())
        script = self._files.own / "start"
        script.touch(0o600)
        script.write_text(f'exec /usr/bin/env -i {pairs} "$@"\n')
        os.chown(script, self._files.user, self._files.user)

    def _write_etc(self) -> dict[str, Path]:
        """Write this container's users and names; where it finds each."""
        name, user = self._files.image.config.User, self._files.user
        texts = {
            "/etc/passwd": f"root:x:0:0::/:/usr/sbin/nologin\n"
            f"{name}:x:{user}:{user}::{self._home}:/usr/sbin/nologin\n",
            "/etc/group": f"root:x:0:\n{name}:x:{user}:\n",
            "/etc/hosts": f"127.0.0.1 localhost\n{self._files.address} {self._hostname}\n",
            "/etc/hostname": f"{self._hostname}\n",
        }
        written = {}
        for path, text in texts.items():
            written[path] = self._files.own / Path(path).name
            written[path].write_text(text)
        return written

    def _places(self) -> Iterator[tuple[str, Path]]:
        """Where the container finds what is read-only, and where that is on this machine."""
        yield from ((path, Path(path)) for path in _SYSTEM if os.path.exists(path))
        image = self._files.image
        for prefix in (_interpreter(image.python), image.python):
            if not prefix.is_relative_to("/usr"):
                yield str(prefix), prefix
        yield image.config.WorkingDir, image.directory

    def _mounts(self) -> Iterator[str]:
        yield from ("--tmpfs", "/", "--perms", "1777", "--tmpfs", "/run")
        # First of all: an image's Python may be somewhere below this machine's /tmp.
        for path, source in self._writable.items():
            yield from (*_ancestors(path), "--bind", str(source), path)
        for path, source in self._places():
            if os.path.islink(path):
                yield from ("--symlink", os.readlink(path), path)
            else:
                yield from (*_ancestors(path), "--ro-bind", str(source), path)
        yield from ("--ro-bind", str(self._files.own / "start"), _START)
        for path, source in self._written.items():
            if os.path.exists(path):
                yield from ("--ro-bind", str(source), path)
        yield from ("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm")  # noqa: S108
        yield from ("--ro-bind", "/sys", "/sys")
        if self._files.groups:
            yield from ("--tmpfs", "/sys/fs/cgroup")
            for path, source in self._files.groups.items():
                if path != "/sys/fs/cgroup":
                    yield from ("--perms", "0755", "--dir", path)
                yield from ("--ro-bind", str(source), path)
        for number, path in enumerate(self._files.mounts):
            yield from (*_ancestors(path), "--bind", str(self._mounted(number)), path)
        yield from ("--remount-ro", "/")


@cache
def _program(name: str) -> str:
    """Where a program of this machine is; a container may have another PATH.

    Raises:
        FileNotFoundError: There is none.
    """
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(name)
    return found


def _interpreter(python: Path) -> Path:
    """The installation that a virtual environment was made from, or `python` where it is none.

    https://docs.python.org/3/library/venv.html#how-venvs-work
    """
    config = python / "pyvenv.cfg"
    if not config.exists():
        return python
    values = dict(line.split(" = ", 1) for line in config.read_text().splitlines() if " = " in line)
    return Path(values["home"]).parent


def _ancestors(path: str) -> Iterator[str]:
    """Make the directories above a mount, which bubblewrap would make for root alone."""
    for parent in reversed(Path(path).parents[:-1]):
        yield from ("--perms", "0755", "--dir", str(parent))


def sandboxes(state: Path, report: Callable[[str], None]) -> Callable[[ContainerFiles], Sandbox]:
    """Return what makes sandboxes here, or processes after one plain line that says why.

    Args:
        state: A directory of the account's.
        report: Called with the line.
    """
    reason = _why_not(state)
    if reason is None:
        return Bubblewrap
    report(
        f"Tasks are not kept apart on this machine: {reason}. They share this user's files, "
        "processes and environment, so that what a container of AWS lacks is not noticed."
    )
    return NoSandbox


def _why_not(state: Path) -> str | None:
    if os.geteuid() != 0:
        return "that needs root"
    missing = [name for name in ("bwrap", "setpriv", "nsenter") if shutil.which(name) is None]
    if missing:
        return f"there is no {' and no '.join(missing)} (Debian's packages bubblewrap, util-linux)"
    return _tried(state)


def _tried(state: Path) -> str | None:
    """What goes wrong where a sandbox is made that writes into a shared directory."""
    shared = state / "shared"
    shared.mkdir(parents=True)
    image = Image(shared, ImageConfig(), Path(sys.prefix))
    address = str(NETWORK[1])
    mounts = {str(shared): shared}
    files = ContainerFiles(image, state / "own", address, kernel_user(address), mounts)
    said: list[bytes] = []
    sandbox = Bubblewrap(files)
    start = sandbox.start(["touch", str(shared / "file")], "/", sandbox.environment)
    process = ContainerProcess(start, on_output=said.append)
    code = process.wait(_TRIAL_SECONDS)
    process.kill()
    process.wait()
    shutil.rmtree(state)
    return None if code == 0 else b"".join(said).decode().strip() or f"bubblewrap ends with {code}"
