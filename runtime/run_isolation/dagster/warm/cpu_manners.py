"""How run processes share a CPU with the server, where the container has less than one.

Runs in: server, which finds them and has its ticks keep to them; run and step, which have them.

A container of 0.25 vCPU sees every CPU of its host, and gets a quarter of one's time (cgroup
quota). The server and a busy run then sit on two CPUs and take the quota from each other, and
niceness, which counts among the processes of one CPU, does nothing. Measured at 0.25 vCPU on two
CPUs: a sensor tick takes 200 ms alone, 401 ms beside a busy process at any niceness, 216 ms where
the busy one is pinned to one CPU and nice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from run_isolation import task_metadata
from run_isolation.control_groups import PROC, own_groups
from run_isolation.errors import TaskMetadataError

_NICEST: Final = 19


@dataclass(frozen=True)
class Manners:
    """Of a run's processes."""

    cpu: int
    """The one that they run on."""

    def apply(self) -> None:
        """Pins this process, and makes it nice."""
        with suppress(OSError):
            os.sched_setaffinity(0, {self.cpu})
            os.setpriority(os.PRIO_PROCESS, 0, _NICEST)

    @contextmanager
    def before_runs(self) -> Iterator[None]:
        """Keeps this thread on the runs' CPU, where it goes first, as they are nice.

        On another one they would go on beside it, and take half of the container's time.
        """
        elsewhere = os.sched_getaffinity(0)
        with suppress(OSError):
            os.sched_setaffinity(0, {self.cpu})
        try:
            yield
        finally:
            with suppress(OSError):
                os.sched_setaffinity(0, elsewhere)


def manners() -> Manners | None:
    """Those that this container needs; None where a run may have a CPU of its own."""
    share = task_share() or cgroup_share()
    if share is None or share >= 1:
        return None
    # Not the first, which a host's own work prefers.
    return Manners(max(os.sched_getaffinity(0)))


def task_share() -> float | None:
    """Share in vCPU of this ECS task; None outside of one, or where it has no limit."""
    try:
        task = task_metadata.read()
    except TaskMetadataError:
        return None
    return None if task is None else task.vcpu


def cgroup_share(proc: Path = PROC) -> float | None:
    """The smallest CPU quota of this process's control groups, in CPUs; None without one.

    https://docs.kernel.org/admin-guide/cgroup-v2.html and
    https://docs.kernel.org/scheduler/sched-bwc.html for version 1.
    """
    own = own_groups("cpu", proc)
    shares = [_share(directory) for directory in own.directories] if own is not None else []
    return min((share for share in shares if share is not None), default=None)


def _share(cgroup: Path) -> float | None:
    with suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text().split()
        return int(quota) / int(period)  # "max" is no number
    with suppress(OSError, ValueError):
        quota = (cgroup / "cpu.cfs_quota_us").read_text()
        period = (cgroup / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    return None
