"""Keeps ``workspace.yaml`` in step with the manifest: a new code location needs no restart."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from run_isolation.dagster.deployment import load_manifest, switched_off
from run_isolation.dagster.home import RESOLVER, HomeConflictError, write_workspace
from run_isolation.errors import ManifestError
from run_isolation.manifest import Location

CHECK_SECONDS: Final = 15
"""Between two looks: a GetParameter each, which costs nothing up to 40 a second
(https://docs.aws.amazon.com/general/latest/gr/ssm.html)."""

_log = logging.getLogger("run_isolation.workspace")


class WorkspaceWatch:
    """Watches the manifest for one process that serves the workspace of a Dagster home.

    Args:
        home: The Dagster home. Without a ``workspace.yaml`` in it there is nothing to keep.
        on_change: Called after the file has other code locations than before.
    """

    def __init__(self, home: Path, on_change: Callable[[], None]) -> None:
        self._home = home
        self._on_change = on_change
        self._known: dict[str, Location] | None = None

    def start(self) -> None:
        """Looks every CHECK_SECONDS, in a thread that ends with the process."""
        threading.Thread(target=self._watch, name="workspace-watch", daemon=True).start()

    def check(self) -> bool:
        """Looks once. The first look only remembers what there is.

        Another process may watch the same home, so that what counts is what this one knew, not
        whether the file had to be written.

        Returns:
            Whether code locations have come, gone or moved.

        Raises:
            ManifestError: The manifest can't be read.
            HomeConflictError: The file has something of the user's own in the way.
        """
        manifest = load_manifest()
        known, self._known = self._known, manifest.locations
        if known is None or known == manifest.locations:
            return False
        write_workspace(self._home, manifest, resolver=os.environ.get(RESOLVER))
        _log.info("Code locations are now: %s.", ", ".join(sorted(manifest.locations)))
        self._on_change()
        return True

    def _watch(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self.check()
            except (HomeConflictError, ManifestError) as error:
                _log.warning("The workspace stays as it is. %s", error)
            except Exception:
                _log.exception("The workspace stays as it is.")
            pause.wait(CHECK_SECONDS)


def watch_workspace(on_change: Callable[[], None]) -> None:
    """Starts watching for the Dagster home of this process, where there is something to watch."""
    home = os.environ.get("DAGSTER_HOME")
    if home and not switched_off() and Path(home, "workspace.yaml").exists():
        WorkspaceWatch(Path(home), on_change).start()
