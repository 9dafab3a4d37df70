"""Processes that take memory, and a container that consists of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from run_isolation.dagster.processes.linux import proportional
from run_isolation.dagster.processes.of_a_run import processes
from run_isolation.standing.container_memory import MIB, ContainerMemory, Reading

TAKE = """
import subprocess, sys
own, child = int(sys.argv[1]), int(sys.argv[2])
taken = bytearray(b"x" * (own << 20))
if child:
    below = subprocess.Popen([sys.executable, "-c", sys.argv[3], str(child), "0", ""],
                             stdout=subprocess.PIPE)
    below.stdout.readline()
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def taker(own_mib: int, child_mib: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has so much, and where asked a child that has so much."""
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE, str(own_mib), str(child_mib), TAKE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Container(ContainerMemory):
    """What these processes have is what is in use."""

    directory: Path = Path("/nowhere")
    version: int = 2
    limit: int = 1024 * MIB
    pids: list[int] = field(default_factory=list)

    def read(self) -> Reading:
        used = sum(proportional(p) for pid in self.pids for p in processes(pid))
        return Reading(self.limit, used)
