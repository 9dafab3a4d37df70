"""Where a container's command runs: kept apart from everything else, or just as a process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from localaws.ecs.images import Image

#: Docker's: https://docs.docker.com/engine/containers/run/#environment-variables
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Start:
    """How the supervisor starts a command.

    Attributes:
        argv: The command, with what keeps it apart before it.
        cwd: A directory of this machine.
        environment: All that the supervisor and its command start with.
        info: Gets the id of the sandbox's first process, as `bwrap --info-fd` writes it; None
            without a sandbox.
        init: Whether that process is an init, and the command its child.
    """

    argv: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]
    info: Path | None = None
    init: bool = False


@dataclass(frozen=True)
class ContainerFiles:
    """What a container is given of this machine.

    Attributes:
        image: Its image.
        own: A directory for it alone, made and removed by its task.
        mounts: Directories that containers share, by where they are found; writable.
        groups: Its own control groups, by where they are found.
        address: Its task's address.
        user: The number of its task's kernel user.
        init: Whether its task definition wants an init (`initProcessEnabled`).
    """

    image: Image
    own: Path
    address: str
    user: int
    mounts: Mapping[str, Path] = field(default_factory=dict)
    groups: Mapping[str, Path] = field(default_factory=dict)
    init: bool = False


class Sandbox(Protocol):
    """Where the commands of one container run."""

    @property
    def environment(self) -> dict[str, str]:
        """Return what a container's environment starts from."""

    def find(self, path: str) -> Path | None:
        """Return where an absolute path of the container is on this machine; None: nowhere."""

    def start(self, argv: Sequence[str], cwd: str, environment: Mapping[str, str]) -> Start:
        """Return how the container's command is started.

        Args:
            argv: The command.
            cwd: A directory of the container.
            environment: All of the command's, and of those that `enter` starts.
        """

    def enter(self, argv: Sequence[str], cwd: str) -> Start:
        """Return how one more command is started beside it."""


class NoSandbox:
    """A process of this machine that sees all of it."""

    def __init__(self, files: ContainerFiles) -> None:
        self._image = files.image
        self._home = files.own / "home"
        self._home.mkdir(parents=True)
        self._given: Mapping[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Return the image's environment; the image is where it is on this machine."""
        moved = {
            name: self._moved(value) if value.startswith("/") else value
            for name, value in self._image.environment.items()
        }
        return {"PATH": f"{self._image.python}/bin:{PATH}", "HOME": str(self._home), **moved}

    def find(self, path: str) -> Path | None:
        """Return the path itself, below the image's working directory that of the image."""
        return Path(self._moved(path))

    def start(self, argv: Sequence[str], cwd: str, environment: Mapping[str, str]) -> Start:
        """Return the command as it is."""
        self._given = environment
        return self.enter(argv, cwd)

    def enter(self, argv: Sequence[str], cwd: str) -> Start:
        """Return the command as it is."""
        return Start(argv, Path(self._moved(cwd)), self._given)

    def _moved(self, path: str) -> str:
        inside = Path(os.path.normpath(path))
        root = self._image.config.WorkingDir
        if inside.is_relative_to(root):
            return str(self._image.directory / inside.relative_to(root))
        return str(inside)


def first_process(info: Path) -> int:
    """Return the id, on this machine, of a sandbox's first process.

    Raises:
        OSError: It is not there yet.
        ValueError: The same.
    """
    said: dict[str, Any] = json.loads(info.read_text())
    return int(said["child-pid"])
