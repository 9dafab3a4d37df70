"""Says at the end of a test run where its time went: wall and CPU seconds of each file.

CPU is what makes a test run long on two cores. A file pays for all processes that are started for
it; what several files share, such as a deployment, is paid by the one that needs it first, and what
still runs by the one that runs meanwhile. What a whole tier takes is measured by `tests/tiers.py`.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import pytest

DIRECTORY: Final = "RUN_ISOLATION_COSTS"
"""Environment variable: where the figures are written, as JSON; nowhere without it."""
TIER: Final = "RUN_ISOLATION_TIER"
"""Environment variable: whose they are."""
SHOWN: Final = 15
"""How many files are shown."""
WORTH_SECONDS: Final = 1.0
"""Files that took less are in the total alone."""


class Cost(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float

    def plus(self, other: Cost) -> Cost:
        """Both."""
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def since(self, before: Cost) -> Cost:
        """What has gone by."""
        # A process that nobody waited for has taken its CPU time out of the sum.
        return Cost(self.wall - before.wall, max(0.0, self.cpu - before.cpu))

    @classmethod
    def so_far(cls) -> Cost:
        """The clock, and the CPU time of this process and of all that it has started."""
        own = psutil.Process()
        cpu = 0.0
        for process in [own, *own.children(recursive=True)]:
            with suppress(psutil.Error):
                # Of ended children, too, user and system: all but the time on disks.
                cpu += sum(process.cpu_times()[:4])
        return cls(time.monotonic(), cpu)


@dataclass
class Costs:
    """Of a test run; with pytest-xdist each worker has its own, and the first process all of them.

    Attributes:
        files: What each file took, by its name.
    """

    files: dict[str, Cost] = field(default_factory=dict)
    _before: Cost | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Any:
        """Looks at the clocks at a file's beginning and end."""
        before = self._before or Cost.so_far()
        result = yield
        if nextitem is not None and nextitem.path == item.path:
            self._before = before
        else:
            # The next file goes on from here: nothing is counted twice, or not at all.
            self._before = Cost.so_far()
            self._add(item.location[0], self._before.since(before))
        return result

    def _add(self, file: str, cost: Cost) -> None:
        self.files[file] = self.files.get(file, Cost(0, 0)).plus(cost)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker hands its figures over."""
        if hasattr(session.config, "workeroutput"):
            files = {file: tuple(cost) for file, cost in self.files.items()}
            session.config.workeroutput["costs"] = files

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """The figures of a worker that has ended."""
        for file, cost in getattr(node, "workeroutput", {}).get("costs", {}).items():
            self._add(file, Cost(*cost))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Shows the dearest files; writes down all that were."""
        self._write(terminalreporter)
        dear = {file: cost for file, cost in self.files.items() if cost.wall >= WORTH_SECONDS}
        if not dear:
            return
        terminalreporter.section("seconds by file: wall, CPU")
        for file in sorted(dear, key=lambda file: -dear[file].cpu)[:SHOWN]:
            terminalreporter.write_line(f"{dear[file].wall:7.1f} {dear[file].cpu:7.1f}  {file}")
        wall, cpu = (sum(costs) for costs in zip(*self.files.values(), strict=True))
        terminalreporter.write_line(f"{wall:7.1f} {cpu:7.1f}  all {len(self.files)} files")

    def _write(self, terminalreporter: pytest.TerminalReporter) -> None:
        directory, tier = os.environ.get(DIRECTORY), os.environ.get(TIER)
        # Tests that start pytest themselves are none of a tier.
        if not directory or not tier or os.environ.get("PYTEST_CURRENT_TEST"):
            return
        counts = {name: len(terminalreporter.stats.get(name, ())) for name in ("passed", "skipped")}
        Path(directory).mkdir(parents=True, exist_ok=True)
        file = Path(directory) / f"{tier}.tests.json"
        file.write_text(json.dumps({**counts, "files": self.files}, indent=1))


def pytest_configure(config: pytest.Config) -> None:
    """Counts in every test run."""
    config.pluginmanager.register(Costs(), "costs")
