"""Tasks of the local account that are forked from a process that has imported Dagster.

Below e2e alone, where a task's worker is needed and its start is not what is tested: an isolated
run takes 1.8 CPU seconds otherwise, and nearly all of that is imports. A container's command is
here a small program (`command.py`) that has its process forked (`forks.py`) and stands for it: it
passes SIGTERM on, ends as it does, and takes it along.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.warm_tasks import command

CHECKOUT: Final = Path(__file__).parents[2]
COMMANDS: Final = {
    "run-isolation": "run_isolation.cli",
    "torture-stub": "tests.torture.launches.stub",
}
"""Programs that tasks may name, and the modules whose `main` they are."""


@contextmanager
def warm_tasks(
    directory: Path,
    environment: Mapping[str, str],
    commands: Mapping[str, str] = COMMANDS,
    server: str = "tests.warm_tasks.server",
) -> Iterator[str]:
    """PATH of containers whose commands are to be forked.

    Args:
        directory: For the commands; made.
        environment: What reaches the account.
        commands: Programs, and the modules whose `main` they are.
        server: The module that is forked from.
    """
    directory.mkdir()
    # The address of a socket is short; pytest's directories need not be: it has no name.
    address = f"run-isolation-warm-{os.getpid()}-{directory.stat().st_ino}"
    for name, module in commands.items():
        program = directory / name
        lines = Path(command.__file__).read_text()
        real = f"{sys.prefix}/bin/{name}"
        filled = f"\nADDRESS, MODULE, REAL = {address!r}, {module!r}, {real!r}\n"
        lines = lines.replace(f"\n{command.TO_FILL_IN}\n", filled)
        program.write_text(f"#!{sys.executable} -IS\n{lines}")
        program.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", server, address],
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        assert process.stdout.readline() == "ready\n", "the process of warm tasks has died"
        path = os.environ.get("PATH", os.defpath)
        yield os.pathsep.join([str(directory), f"{sys.prefix}/bin", path])
    finally:
        process.communicate()
