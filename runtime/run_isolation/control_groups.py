"""Which control groups limit this process, of either version.

https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/cgroups.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class ControlGroups:
    """Of this process, for one controller.

    Attributes:
        version: 1 or 2.
        directories: Its own group, and those above it that can be seen, the nearest first.
    """

    version: int
    directories: list[Path]


def own_groups(controller: str, proc: Path = PROC) -> ControlGroups | None:
    """The groups that this process is in; None where none can be seen.

    Args:
        controller: Such as ``memory`` or ``cpu``.
        proc: Where the ``proc`` file system is.
    """
    try:
        mounts = (proc / "self/mounts").read_text().splitlines()
        groups = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return None
    paths = {
        name: path
        for line in groups
        for _, names, path in [line.split(":", 2)]
        for name in names.split(",")
    }
    # Version 1 first: where both are mounted, the controller is there. Version 2 names none.
    for version, kind, name in ((1, "cgroup", controller), (2, "cgroup2", "")):
        for line in mounts:
            _, mountpoint, found, options, *_ = line.split()
            right = found == kind and (version == 2 or name in options.split(","))
            if right and name in paths:
                return ControlGroups(version, _upwards(Path(mountpoint), paths[name]))
    return None


def values(file: Path) -> dict[str, int]:
    """A file of lines with a name and a number each, such as ``memory.stat``.

    Raises:
        OSError: It can't be read.
    """
    lines = (line.split() for line in file.read_text().splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2}


def _upwards(mountpoint: Path, path: str) -> list[Path]:
    own = mountpoint / path.lstrip("/")
    # A container sees its own group as the mount's root, by whatever path the host knows it.
    if not own.is_dir():
        return [mountpoint]
    return [own, *(above for above in own.parents if above.is_relative_to(mountpoint))]
