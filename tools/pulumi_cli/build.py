"""Build the Pulumi CLI from its Go modules and give it a Python language host.

`go.mod` pins the version and `go.sum` the checksum of every module. A build is kept in the user's
cache under the version and a hash of both files.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from tools.progress import working
from tools.pulumi_cli.cache import cache_directory
from tools.pulumi_cli.errors import UnavailableError

MODULE = Path(__file__).parent
LANGUAGE_HOST = MODULE / "host.py"
CLI_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
# The variable that `pulumi version` prints: sdk/go/common/version/version.go.
VERSION_VARIABLE = f"{SDK_MODULE}/go/common/version.Version"
# The script that the official language host runs Python programs with. It is part of SDK_MODULE.
EXECUTOR = "pulumi-language-python-exec"
PATIENCE = 1800.0
"""Seconds for one command of Go. A build takes 240 on two cores, besides the download."""


def pinned_version() -> str:
    """The version that go.mod pins, for example `v3.259.0`."""
    match = re.search(r"github\.com/pulumi/pulumi/pkg/v3 (v\S+)", (MODULE / "go.mod").read_text())
    if match is None:
        raise ValueError(f"{MODULE / 'go.mod'} does not require github.com/pulumi/pulumi/pkg/v3")
    return match[1]


def built() -> Path | None:
    """The root directory of a finished build for this interpreter, or None."""
    root = _root_for_interpreter()
    return root if (root / "bin" / "pulumi").exists() else None


def build(console: Console) -> Path:
    """Build the CLI once, however many callers ask at the same time.

    Returns:
        A root directory; `bin` in it has the CLI and the language host for this interpreter.

    Raises:
        UnavailableError: there is no Go, or the build failed.
    """
    home = _build_directory()
    home.parent.mkdir(parents=True, exist_ok=True)
    what = f"Building the Pulumi CLI {pinned_version()} from its Go modules (minutes, only once)"
    lock = FileLock(f"{home}.lock", timeout=PATIENCE)
    try:
        with working(console, what), lock:
            if not home.exists():
                _build_into(home)
            if not built():
                _lay_out(home, _root_for_interpreter())
    except Timeout as error:
        raise UnavailableError(
            f"another build did not end in {PATIENCE:g} s: the process that has locked "
            f"{lock.lock_file}. End it, or wait for it"
        ) from error
    return _root_for_interpreter()


def _build_directory() -> Path:
    pins = (MODULE / "go.mod").read_bytes() + (MODULE / "go.sum").read_bytes()
    return cache_directory() / f"{pinned_version()}-{hashlib.sha256(pins).hexdigest()[:12]}"


def _root_for_interpreter() -> Path:
    """Of this interpreter alone: the language host beside the CLI runs on it."""
    key = hashlib.sha256(f"{sys.executable}\n{LANGUAGE_HOST}".encode()).hexdigest()[:12]
    return _build_directory() / f"python-{key}"


def _build_into(home: Path) -> None:
    """Build beside `home` and move the result there in one step, so that it is whole or absent."""
    go = shutil.which("go")
    if go is None:
        raise UnavailableError("it needs Go, and there is no `go` on PATH")
    log = Path(f"{home}.log")
    unfinished = Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=home.parent))
    try:
        flags = f"-s -w -X {VERSION_VARIABLE}={pinned_version()}"
        _go(go, log, "build", "-mod=readonly", "-ldflags", flags, "-o", unfinished, CLI_PACKAGE)
        sdk = _go(go, log, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", SDK_MODULE)
        shutil.copyfile(Path(sdk) / "python" / "cmd" / EXECUTOR, unfinished / EXECUTOR)
        unfinished.chmod(0o755)
        unfinished.replace(home)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _go(go: str, log: Path, *arguments: str | Path) -> str:
    """Run one go command in the pinning module and return what it printed."""
    try:
        result = subprocess.run(
            [go, *arguments],
            cwd=MODULE,
            env={**os.environ, "GOWORK": "off"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"`go {arguments[0]}` did not end in {PATIENCE:g} s. It downloads modules through "
            "`go env GOPROXY`: see whether that answers"
        ) from error
    if result.returncode != 0:
        log.write_text(result.stderr)
        last = "\n".join(result.stderr.strip().splitlines()[-5:])
        raise UnavailableError(
            f"`go {arguments[0]}` ended with code {result.returncode} (all of it: {log}):\n{last}"
        )
    return result.stdout.strip()


def _lay_out(home: Path, root: Path) -> None:
    """Put a link to the CLI and a language host for this interpreter into `root`/bin."""
    unfinished = Path(tempfile.mkdtemp(prefix=f"{root.name}.", dir=home))
    binaries = unfinished / "bin"
    binaries.mkdir()
    # A hard link: the engine follows symbolic links before it looks for its language host, and it
    # warns at each command about a host that it finds on PATH instead.
    os.link(home / "pulumi", binaries / "pulumi")
    launcher = binaries / "pulumi-language-python"
    command = [sys.executable, "-P", str(LANGUAGE_HOST), "--use-executor", str(home / EXECUTOR)]
    launcher.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    launcher.chmod(0o755)
    unfinished.chmod(0o755)
    unfinished.replace(root)
