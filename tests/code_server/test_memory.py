"""Memory of processes is told whoever else maps the same files."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.code_server.memory import memory_mib

SHARED_MIB = 64
MAPS = """
import mmap, os, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
sum(mapped[::4096])
os.fork()
sum(mapped[::4096])
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "library"
    path.write_bytes(os.urandom(2**20) * SHARED_MIB)
    return path


@contextmanager
def mapping(file: Path) -> Iterator[list[psutil.Process]]:
    """Two processes that have the file in their memory."""
    with subprocess.Popen(
        [sys.executable, "-c", MAPS, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for _ in range(2):
            process.stdout.readline()
        parent = psutil.Process(process.pid)
        yield [parent, *parent.children()]
        process.communicate()


def test_what_two_processes_share_counts_once(file: Path) -> None:
    with mapping(file) as both:
        assert len(both) == 2
        assert SHARED_MIB < memory_mib(both) < 1.9 * SHARED_MIB


@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel tells only root which pages there are")
def test_what_others_share_counts_whole(file: Path) -> None:
    with mapping(file) as both, file.open("rb") as opened:
        alone = memory_mib(both)
        with mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            sum(mapped[::4096])
            assert memory_mib(both) == pytest.approx(alone, abs=0.5)
