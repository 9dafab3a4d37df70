"""One torture of the standing container from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dagster import DagsterEventType

from tests.code_server.servers import READY_SECONDS
from tests.torture.standing import peace
from tests.torture.standing.board import Board
from tests.torture.standing.clients import Clients
from tests.torture.standing.daemon import Daemon
from tests.torture.standing.judge import Evidence
from tests.torture.standing.observer import PAUSE_SECONDS, observing
from tests.torture.standing.plan import Plan
from tests.torture.standing.report import Report, report
from tests.torture.standing.troubles import Troubles
from tests.torture.standing.world import World, world

CALM_SECONDS: Final = 420.0


def torture(plan: Plan, directory: Path, progress: Callable[[int], object]) -> Report:
    """Torments and reports.

    Args:
        plan: What to do.
        directory: For logs and data; empty.
        progress: Called with the number of runs, often.

    Raises:
        UnavailableError: Postgres or DynamoDB Local can't be had.
    """
    with world(plan, directory) as opened:
        board = Board()
        clients = Clients(plan, opened, board)
        daemon = Daemon(opened, board)
        troubles = Troubles(plan, opened, board)
        begin = time.monotonic()
        with observing(directory):
            daemon.start()
            before = {} if plan.twin else peace.first_runs(plan, opened, clients)
            troubles.start()
            clients.start()
            until = time.monotonic() + plan.most_seconds
            while clients.at_work and time.monotonic() < until:
                progress(board.let_in())
                time.sleep(PAUSE_SECONDS)
            troubles.stop()
            peace.settled(lambda: not clients.at_work, CALM_SECONDS)
            seconds = time.monotonic() - begin
            peace.settled(lambda: opened.host.current is not None, READY_SECONDS)
            left = [] if plan.twin else list(peace.what_is_left(opened, clients, before))
            daemon.stop()
        evidence = Evidence.of(directory, board.launched, _starts(opened, board))
        return report(plan, evidence, board, troubles.violence, left, seconds)


def _starts(opened: World, board: Board) -> dict[str, int]:
    """How often storage has a run's start."""
    kind = DagsterEventType.RUN_START
    return {run_id: len(opened.direct.all_logs(run_id, of_type=kind)) for run_id in board.launched}
