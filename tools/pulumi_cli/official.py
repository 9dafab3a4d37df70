"""The official installer, where the internet can be reached."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import psutil
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
INSTALL_PATIENCE = 900.0
"""Seconds that the installer may take: it downloads about 100 MB."""


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
    others = set(psutil.Process().children(recursive=True))
    with working(console, "Downloading the Pulumi CLI with its official installer"):
        try:
            _within(INSTALL_PATIENCE, lambda: PulumiCommand.install(root=str(root)))
        except TimeoutError as error:
            for process in set(psutil.Process().children(recursive=True)) - others:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            raise UnavailableError(f"it did not end in {INSTALL_PATIENCE:g} s") from error
        except (OSError, subprocess.SubprocessError) as error:
            output = getattr(error, "output", None) or b""
            raise UnavailableError(f"{error} {output.decode(errors='replace')}".strip()) from error
    return root


def reachable(url: str, patience: float) -> bool:
    """Whether a web server answers within `patience` seconds.

    It asks in a thread because the timeouts of Python's sockets leave out name resolution, which
    can hang for long in a closed network.
    """

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 (callers give https URLs)
        with urllib.request.urlopen(request, timeout=patience):  # noqa: S310
            pass

    try:
        _within(patience, ask)
    except OSError:
        return False
    return True


def _within(seconds: float, call: Callable[[], object]) -> None:
    """Make a call, in a thread that nobody waits for any longer than that.

    Raises:
        TimeoutError: it has not ended.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            call()
        except Exception as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, daemon=True).start()
    done.result(seconds)


def _root() -> Path:
    return cache_directory() / f"official-{_version.version}"
