"""Images as directories, each with an environment of Python and what an image says of itself."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

#: An image's description, in its directory. Without one it is as `ImageConfig` has it.
CONFIG: Final = "image.json"


class ImageNotFoundError(Exception):
    """The image has no directory, or describes itself wrongly."""


class ImageConfig(BaseModel):
    """What an image says of itself, with the names of the OCI image format.

    The defaults are those of `images/Dockerfile`.
    https://github.com/opencontainers/image-spec/blob/main/config.md

    Attributes:
        User: A name. In its task the user has a number of the task's own.
        WorkingDir: Where the image's directory is found in a container, and its working directory.
        Entrypoint: Goes before the command, where the container definition has none.
        Cmd: The command, where the container definition has neither.
        Env: `NAME=value` each.
        Python: An environment of Python, relative to the image's directory; its programs come
            first on PATH. None: the account's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    User: str = "dagster"
    WorkingDir: str = "/app"
    Entrypoint: tuple[str, ...] = ()
    Cmd: tuple[str, ...] = ()
    Env: tuple[str, ...] = ("PYTHONPATH=/app", "PYTHONUNBUFFERED=1")
    Python: str | None = None


@dataclass(frozen=True)
class Image:
    """An image.

    Attributes:
        directory: Its files, on this machine.
        config: What it says of itself.
        python: Its environment of Python, on this machine and in its containers.
    """

    directory: Path
    config: ImageConfig
    python: Path

    def argv(self, entry_point: tuple[str, ...], command: tuple[str, ...]) -> tuple[str, ...]:
        """Return what a container runs: an entry point that is given drops the image's command.

        https://docs.docker.com/reference/dockerfile/#understand-how-cmd-and-entrypoint-interact
        """
        if entry_point:
            return (*entry_point, *command)
        return (*self.config.Entrypoint, *(command or self.config.Cmd))

    @property
    def environment(self) -> dict[str, str]:
        """Return `Env` as pairs."""
        pairs = (entry.partition("=") for entry in self.config.Env)
        return {name: value for name, _, value in pairs}


class Images:
    """Finds images below `root`.

    `NAME` is `root/NAME` and `NAME:TAG` is `root/NAME/TAG`; a registry's host name in front of the
    name is left out. So a change of image is a change of code, and nothing has to be built.

    Args:
        root: Holds the directory of each image.
        python: The environment of Python of images that name none; that of this process where None.
    """

    def __init__(self, root: Path, python: Path | None = None) -> None:
        self._root = root.resolve()
        self._python = python or Path(sys.prefix)

    def find(self, image: str) -> Image:
        """Return `image`.

        Raises:
            ImageNotFoundError: There is none, or its description is wrong.
        """
        directory = self._directory(image)
        description = directory / CONFIG
        try:
            text = description.read_text() if description.exists() else "{}"
            config = ImageConfig.model_validate_json(text)
        except ValidationError as error:
            raise ImageNotFoundError(f"{image}: {description}: {error}") from error
        # Not resolved: the link in an environment that leads to its interpreter must stay one.
        python = directory / config.Python if config.Python else self._python
        return Image(directory, config, python)

    def _directory(self, image: str) -> Path:
        name = image
        host, slash, rest = image.partition("/")
        # Docker's rule for telling a registry from a path:
        # https://docs.docker.com/reference/cli/docker/image/tag/
        if slash and ("." in host or ":" in host or host == "localhost"):
            name = rest
        name, _, tag = name.partition(":")
        directory = (self._root / name / tag).resolve()
        if not name or not directory.is_relative_to(self._root) or not directory.is_dir():
            raise ImageNotFoundError(f"{image}: not found: there is no directory {directory}")
        return directory
