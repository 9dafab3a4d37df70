"""The official installer, where the internet can be reached."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import urllib.request
from pathlib import Path

from pulumi import _version
from pulumi.automation import PulumiCommand
from rich.console import Console

from tools.progress import working
from tools.pulumi_cli.cache import cache_directory
from tools.pulumi_cli.errors import UnavailableError

# The SDK's PulumiCommand.install() downloads this script and runs it.
INSTALLER = "https://get.pulumi.com/install.sh"
PATIENCE = 3.0
"""Seconds that the installer's host may take to answer."""


def installed() -> Path | None:
    """The root directory of a CLI that the installer put into the cache before."""
    root = _root()
    return root if (root / "bin" / "pulumi").exists() else None


def install(console: Console) -> Path:
    """Download the CLI of the SDK's own version into the user's cache.

    Returns:
        The installation's root directory; the CLI is `bin/pulumi` in it.

    Raises:
        UnavailableError: the installer is not wanted (CI=true), not reachable, or it failed.
    """
    if os.environ.get("CI") == "true":
        raise UnavailableError("not used where the environment says CI=true")
    if not reachable(INSTALLER, PATIENCE):
        raise UnavailableError(f"{INSTALLER} gave no answer within {PATIENCE:g} s")
    root = _root()
    with working(console, "Downloading the Pulumi CLI with its official installer"):
        try:
            PulumiCommand.install(root=str(root))
        except (OSError, subprocess.SubprocessError) as error:
            output = getattr(error, "output", None) or b""
            raise UnavailableError(f"{error} {output.decode(errors='replace')}".strip()) from error
    return root


def reachable(url: str, patience: float) -> bool:
    """Whether a web server answers within `patience` seconds.

    It asks in a thread because the timeouts of Python's sockets leave out name resolution, which
    can hang for long in a closed network.
    """
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 (callers give https URLs)
        try:
            with urllib.request.urlopen(request, timeout=patience):  # noqa: S310
                answers.put(True)
        except OSError:
            answers.put(False)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=patience)
    except queue.Empty:
        return False


def _root() -> Path:
    return cache_directory() / f"official-{_version.version}"
