"""Keeps ``workspace.yaml`` in step with the manifest: a new code location needs no restart."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from run_isolation.dagster.deployment import load_manifest, switched_off
from run_isolation.dagster.home.environment import tell_of_version
from run_isolation.dagster.home.files import HomeConflictError
from run_isolation.dagster.home.workspace import RESOLVER, write_workspace
from run_isolation.errors import ManifestError

CHECK_SECONDS: Final = 15
"""Between two looks: a GetParameter each, which costs nothing up to 40 a second
(https://docs.aws.amazon.com/general/latest/gr/ssm.html)."""

_log: Final = logging.getLogger(__name__)


class WorkspaceWatch:
    """Watches the manifest for one process that serves the workspace of a Dagster home.

    Several processes may watch the same home, and whichever looks first writes the file. So what
    counts is whether the file is still the one that this process has loaded: make the watch before
    Dagster reads it.

    Args:
        home: The Dagster home, with a ``workspace.yaml``.
    """

    def __init__(self, home: Path) -> None:
        self._file = home / "workspace.yaml"
        self._loaded = self._file.read_bytes()
        self._newest: str | None = None

    def start(self, on_change: Callable[[], None]) -> None:
        """Looks every CHECK_SECONDS, in a thread that ends with the process.

        Args:
            on_change: Loads the file again.
        """
        threading.Thread(
            target=self._watch, args=[on_change], name="workspace-watch", daemon=True
        ).start()

    def check(self, on_change: Callable[[], None]) -> bool:
        """Looks once. A look that fails is made again by the next one.

        Returns:
            Whether the file had to be loaded again.

        Raises:
            ManifestError: The manifest can't be read.
            HomeConflictError: The file has something of the user's own in the way.
            OSError: The file can't be read or written.
        """
        manifest = load_manifest()
        if manifest.instance_version != self._newest:
            if self._newest is not None:  # the first one is told of as the process starts
                tell_of_version(manifest.instance_version, str(self._file.parent))
            self._newest = manifest.instance_version
        write_workspace(self._file.parent, manifest, resolver=os.environ.get(RESOLVER))
        content = self._file.read_bytes()
        if content == self._loaded:
            return False
        _log.info("%s has changed and is loaded again.", self._file)
        on_change()
        self._loaded = content
        return True

    def _watch(self, on_change: Callable[[], None]) -> None:
        pause = threading.Event()
        while True:
            try:
                self.check(on_change)
            except (HomeConflictError, ManifestError, OSError) as error:
                _log.warning("The workspace stays as it is. %s", error)
            except Exception:
                _log.exception("The workspace stays as it is.")
            pause.wait(CHECK_SECONDS)


def workspace_watch() -> WorkspaceWatch | None:
    """A watch for the Dagster home of this process, or None where there is nothing to watch."""
    home = os.environ.get("DAGSTER_HOME")
    if home and not switched_off() and Path(home, "workspace.yaml").exists():
        return WorkspaceWatch(Path(home))
    return None
