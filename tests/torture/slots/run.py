"""One torture from beginning to end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from run_isolation import NonIsolatedRuns, Slots, aws
from tests.runtime.tables import configure, create_table
from tests.slots.parts import Parts
from tests.torture.slots.place import TABLE, Place
from tests.torture.slots.report import Report, read
from tests.torture.slots.supervisor import Clients, Plan, Supervisor
from tools.dynamodb_local import DynamoDBLocal
from tools.ports import free_port

QUIET_SECONDS: Final = 90
SHORT_ACQUIRES: Final = 1_000
"""A torture of so many is over before a faster database pays."""


def torture(plan: Plan, parts: Parts, directory: Path, progress: Callable[[int], object]) -> Report:
    """Torments and reports.

    Args:
        plan: What to do.
        parts: To what.
        directory: For logs and data; empty.
        progress: Called with the number of acquires, often.

    Raises:
        UnavailableError: DynamoDB Local can't be had.
    """
    place = Place(directory)
    place.create(plan.launchers)
    data = directory / "dynamodb"
    data.mkdir()
    with DynamoDBLocal(data, short_lived=plan.acquires <= SHORT_ACQUIRES) as database:
        clients = _clients(database)
        create_table(clients.direct, TABLE)
        enabled = NonIsolatedRuns(
            enabled=True,
            max_concurrent_non_isolated_runs=plan.limit,
            # Tickets are as good as holders.
            location_limits={"sales": plan.limit},
        )
        configure(clients.direct, enabled, TABLE)
        # A client with a connection must not be there when processes are forked.
        clients = _clients(database)
        supervisor = Supervisor(plan, parts, directory, database, clients)
        begin = time.monotonic()
        try:
            supervisor.start()
            supervisor.run(progress)
            slots = Slots(_clients(database).direct, TABLE)
            supervisor.calm_down(
                QUIET_SECONDS, lambda: not place.seats.alive() and slots.holders() == ()
            )
            seconds = time.monotonic() - begin
        finally:
            supervisor.stop()
    return read(place, plan.seed, plan.limit, seconds, supervisor.violence)


def _clients(database: DynamoDBLocal) -> Clients:
    port = free_port()
    with _environment(database.environment):
        direct = aws.dynamodb()
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = f"http://127.0.0.1:{port}"
        return Clients(direct, aws.dynamodb(), port)


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
