"""Images as directories."""

from __future__ import annotations

from pathlib import Path


class ImageNotFoundError(Exception):
    """The image has no directory."""


class Images:
    """Finds the directory of an image below `root`.

    `NAME` is `root/NAME` and `NAME:TAG` is `root/NAME/TAG`; a registry's host name in front of the
    name is left out. So a change of image is a change of code, and nothing has to be built.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def directory(self, image: str) -> Path:
        """Return the directory of `image`.

        Raises:
            ImageNotFoundError: There is none.
        """
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
