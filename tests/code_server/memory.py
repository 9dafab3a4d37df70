"""How much memory processes have, whoever else maps the same files."""

from __future__ import annotations

import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from run_isolation.dagster.processes.linux import proportional

MIB: Final = 2**20
_PAGE: Final = 4096
_ENTRY: Final = 8
_PRESENT: Final = 1 << 63
_FRAME: Final = (1 << 55) - 1
"""https://docs.kernel.org/admin-guide/mm/pagemap.html"""
_USER_SPACE: Final = 1 << 47


def memory_mib(processes: Iterable[psutil.Process]) -> float:
    """MiB that these processes have together.

    Each page counts once: that is their proportional set size in a container of their own. Here the
    kernel's figure would leave out a part of what other processes map too: tests and benchmarks
    have the same libraries. Where the kernel tells only root which pages there are, it has to do.
    """
    frames: set[int] = set()
    shares = 0
    for process in processes:
        with suppress(OSError):
            frames.update(_frames(process.pid))
        shares += proportional(process.pid)
    known = len(frames) > 1  # each is 0 where they are kept secret
    return (len(frames) * _PAGE if known else shares) / MIB


def _frames(pid: int) -> Iterator[int]:
    """Page frames of a process."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        for line in maps:
            begin, end = (int(address, 16) for address in line.split(maxsplit=1)[0].split("-"))
            if begin >= _USER_SPACE:
                continue
            pagemap.seek(begin // _PAGE * _ENTRY)
            entries = array.array("Q", pagemap.read((end - begin) // _PAGE * _ENTRY))
            yield from (entry & _FRAME for entry in entries if entry & _PRESENT)
