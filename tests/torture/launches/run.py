"""One torture of launches from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.torture.launches.conductor import Conductor
from tests.torture.launches.plan import Plan
from tests.torture.launches.report import Report, read
from tests.torture.launches.world import world


def torture(plan: Plan, directory: Path, progress: Callable[[int], object]) -> Report:
    """Torments and reports.

    Args:
        plan: What to do.
        directory: For logs and data; empty.
        progress: Called with the number of launches, often.
    """
    begin = time.monotonic()
    with world(directory, claims=plan.claims) as opened:
        conductor = Conductor(plan, opened, progress)
        conductor.run()
        # One that ends with its first violation leaves faults in force; the report is not to meet
        # them.
        opened.stack.account.forget()
        return read(conductor, time.monotonic() - begin)
