"""Get a Pulumi CLI that runs Python programs: from PATH, cache, installer or a build."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pulumi.automation import InvalidVersionError, PulumiCommand
from rich.console import Console

from tools.pulumi_cli import build, official
from tools.pulumi_cli.cache import cache_directory
from tools.pulumi_cli.errors import PulumiCliError, UnavailableError

LANGUAGE_HOST = "pulumi-language-python"


class Origin(StrEnum):
    """Where a CLI came from."""

    PATH = "found on PATH"
    INSTALLED = "from the official installer"
    BUILT = "built from its Go modules"


@dataclass(frozen=True)
class PulumiCli:
    """A CLI that answered `pulumi version`. Pass `command` to Pulumi's Automation API."""

    command: PulumiCommand
    executable: Path
    origin: Origin

    @property
    def version(self) -> str:
        """The version that the CLI gave, for example `3.259.0`."""
        return str(self.command.version)


def ensure_pulumi(console: Console | None = None) -> PulumiCli:
    """Return a CLI, and get one first where there is none.

    A first build takes about four minutes on two cores. It is kept in the user's cache.

    Args:
        console: where progress is shown. Standard error by default.

    Raises:
        PulumiCliError: no way to get a CLI works on this machine.
    """
    console = console or Console(stderr=True)
    ways: list[tuple[str, Callable[[], PulumiCli]]] = [
        ("on PATH", _on_path),
        ("in the cache", _cached),
        ("official installer", lambda: _from_root(official.install(console), Origin.INSTALLED)),
        ("build from Go modules", lambda: _from_root(build.build(console), Origin.BUILT)),
    ]
    reasons = []
    for name, way in ways:
        try:
            return way()
        except UnavailableError as error:
            reasons.append(f"  {name}: {error}")
    raise PulumiCliError(
        "No Pulumi CLI. Each way to get one failed:\n"
        + "\n".join(reasons)
        + "\nInstall the CLI (https://www.pulumi.com/docs/install/) so that `pulumi` is on PATH, "
        "or Go (https://go.dev/doc/install) so that it can be built here."
    )


def _on_path() -> PulumiCli:
    found = shutil.which("pulumi")
    if found is None:
        raise UnavailableError("there is no `pulumi` on PATH")
    executable = Path(found)
    if executable.is_relative_to(cache_directory()):
        # `source .local/env` puts it there. The cache knows whether it is still the right one.
        raise UnavailableError(f"{executable} is our own cached CLI")
    beside = executable.resolve().parent / LANGUAGE_HOST
    if shutil.which(LANGUAGE_HOST) is None and not beside.exists():
        raise UnavailableError(
            f"{executable} has no Python language host ({LANGUAGE_HOST}) beside it or on PATH"
        )
    return PulumiCli(_answering(None), executable, Origin.PATH)


def _cached() -> PulumiCli:
    if root := official.installed():
        return _from_root(root, Origin.INSTALLED)
    if root := build.built():
        return _from_root(root, Origin.BUILT)
    raise UnavailableError(f"{cache_directory()} has none for this version")


def _from_root(root: Path, origin: Origin) -> PulumiCli:
    return PulumiCli(_answering(root), root / "bin" / "pulumi", origin)


def _answering(root: Path | None) -> PulumiCommand:
    """Run `pulumi version` and hold the answer against what the SDK needs."""
    try:
        return PulumiCommand(root=str(root) if root else None)
    except (InvalidVersionError, OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(
            f"`pulumi version` did not give a usable version: {error}"
        ) from error
