"""The benchmark `slots`."""

from __future__ import annotations

import functools
import logging
import os
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from rich.console import Console

from bench.harness import Better, Cell, Row, interleaved
from bench.slots.behaviour import observe
from bench.slots.contenders import Contender
from bench.slots.ours import BareLock, Ours
from bench.slots.registry import CONTENDERS
from bench.slots.speed import Course, cost_of_a_cycle, cost_of_a_denial
from bench.wire import Wire, wire_to
from run_isolation import aws
from tools.dynamodb_local import DynamoDBLocal
from tools.dynamodb_local.server import ACCESS

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

RUNS: Final = 15
SECONDS: Final = 0.7
"""Of one run of one contender: short, so that all of them meet the same machine."""
TRIAL_SECONDS: Final = 2.0


def measure(progress: Console) -> tuple[list[Row], list[Cell]]:
    """Measures all contenders; takes some six minutes."""
    # The libraries warn of what is wanted here, such as records that are no longer theirs.
    logging.getLogger("dynamo_dlm").setLevel(logging.ERROR)
    logging.getLogger("python_dynamodb_lock").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    with (
        DynamoDBLocal() as database,
        wire_to(database.endpoint_url) as wire,
        _talking_to(database.endpoint_url),
    ):
        client = aws.dynamodb()
        progress.print("slots: speed")
        rows = list(_speed(client))
        progress.print("slots: calls and request units")
        with _talking_to(wire.endpoint_url):
            rows += _costs(client, wire)
            progress.print("slots: behaviour")
            cells = [cell for each in CONTENDERS.values() for cell in observe(each, client, wire)]
    return rows, cells


@contextmanager
def _talking_to(endpoint_url: str) -> Iterator[None]:
    """What makes an SDK client in here, or in a process started in here, talks to this DynamoDB."""
    with patch.dict(os.environ, ACCESS, AWS_ENDPOINT_URL_DYNAMODB=endpoint_url):
        yield


def _speed(client: DynamoDBClient) -> Iterator[Row]:
    for suffix, threads, limit in (
        ("uncontended", 1, 1),
        ("contended_limit_1", 16, 1),
        ("contended_limit_10", 16, 10),
    ):
        courses = {each.name: _course(each, client, threads, limit) for each in _able(limit)}
        # This also warms connections, caches and the server's own compiler.
        most = {name: course.trial(TRIAL_SECONDS) for name, course in courses.items()}
        load = os.getloadavg()[0]
        runs = {name: functools.partial(course.run, SECONDS) for name, course in courses.items()}
        values = interleaved(runs, RUNS)
        note = (
            f"Acquire and release, {threads} thread{'s' * (threads > 1)}, limit {limit}; a denied "
            f"caller asks again at once. Load average before it: {load:.1f}."
        )
        for name, count in most.items():
            if count > limit:
                del values[name]
                note += f" No number for {name}: it had {count} in at once."
        yield _row(f"cycles_per_s_{suffix}", "cycles/s", "higher", values, note)


def _course(contender: type[Contender], client: DynamoDBClient, threads: int, limit: int) -> Course:
    table = _provisioned(contender, client, limit)
    return Course([contender(table, limit) for _ in range(threads)])


def _costs(client: DynamoDBClient, wire: Wire) -> Iterator[Row]:
    cycle = _each(client, limit=1, of=lambda caller: cost_of_a_cycle(caller, wire))
    yield from _cost_rows("cycle", cycle, "Acquire and release, limit 1, nobody else asking.")
    for limit, suffix in ((1, ""), (10, "_limit_10")):
        denial = _each(client, limit, of=lambda caller: cost_of_a_denial(caller, wire))
        note = f"An acquire while all slots are taken, limit {limit}."
        yield from _cost_rows(f"denial{suffix}", denial, note)


def _each(
    client: DynamoDBClient, limit: int, of: Callable[[Contender], tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    return {each.name: of(each(_provisioned(each, client, limit), limit)) for each in _able(limit)}


def _cost_rows(what: str, costs: Mapping[str, tuple[float, float]], note: str) -> Iterator[Row]:
    calls = {name: [calls] for name, (calls, _) in costs.items()}
    units = {name: [units] for name, (_, units) in costs.items()}
    yield _row(f"calls_per_{what}", "calls", "lower", calls, note)
    yield _row(f"request_units_per_{what}", "read + write units", "lower", units, note)


def _row(
    metric: str, unit: str, better: Better, values: Mapping[str, Sequence[float]], note: str
) -> Row:
    peers = {name: values.get(name) for name in CONTENDERS if name != Ours.name}
    libraries = {name: value for name, value in peers.items() if name != BareLock.name}
    beside = Row.of(metric, unit, better, values[Ours.name], libraries, "").ratio
    unable = [name for name in peers if not CONTENDERS[name].counts_slots]
    if all(peers[name] is None for name in unable):
        note += f" Not more than one slot: {', '.join(unable)}."
    note += f" Beside the best library alone: {beside:.2f}x."
    return Row.of(metric, unit, better, values[Ours.name], peers, note)


def _able(limit: int) -> list[type[Contender]]:
    return [each for each in CONTENDERS.values() if limit == 1 or each.counts_slots]


def _provisioned(contender: type[Contender], client: DynamoDBClient, limit: int) -> str:
    table = f"bench-{uuid.uuid4()}"
    contender.provision(client, table, limit)
    return table
