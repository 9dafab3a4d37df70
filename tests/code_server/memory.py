"""How much memory processes have, whoever else maps the same files."""

from __future__ import annotations

import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

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
    pids = [process.pid for process in processes]
    frames: set[int] = set()
    proportional = 0
    for pid in pids:
        with suppress(OSError):
            frames.update(_frames(pid))
        with suppress(OSError):
            proportional += _pss(pid)
    known = len(frames) > 1  # each is 0 where they are kept secret
    return (len(frames) * _PAGE if known else proportional) / MIB


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


def _pss(pid: int) -> int:
    """Bytes. https://www.kernel.org/doc/html/latest/filesystems/proc.html (smaps_rollup)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
