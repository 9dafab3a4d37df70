"""The code location that is measured: small, like most."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dagster import (
    Config,
    Definitions,
    MaterializeResult,
    SensorEvaluationContext,
    SkipReason,
    asset,
    define_asset_job,
    in_process_executor,
    job,
    op,
    sensor,
)


@asset
def first() -> MaterializeResult[None]:
    """The first of two."""
    return MaterializeResult(metadata={"rows": 1})


@asset(deps=[first])
def second() -> MaterializeResult[None]:
    """The other one."""
    return MaterializeResult(metadata={"rows": 2})


TICK_SECONDS = 0.06
"""CPU time of the sensor, as of one that looks through a listing."""


class Until(Config):
    """Until when an op goes on: for as long as somebody else holds this file locked."""

    lock: str = ""


@contextmanager
def shared_lock(path: str, flags: int = 0) -> Iterator[None]:
    """Waits until nobody holds the file locked alone."""
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_SH | flags)
        yield


@op
def hold(config: Until) -> None:
    """Wait, without work."""
    with shared_lock(config.lock):
        pass


@op
def burn(config: Until) -> None:
    """Keep a CPU busy."""
    while True:
        sum(range(100_000))
        try:
            with shared_lock(config.lock, fcntl.LOCK_NB):
                return
        except BlockingIOError:
            pass


@job(executor_def=in_process_executor)
def held() -> None:
    """One run that waits."""
    hold()


@job(executor_def=in_process_executor)
def burning() -> None:
    """One run that computes."""
    burn()


@sensor(job=held, minimum_interval_seconds=3600)
def tick(context: SensorEvaluationContext) -> SkipReason:
    """Evaluated while other things go on."""
    end = time.thread_time() + TICK_SECONDS
    while time.thread_time() < end:
        pass
    return SkipReason("nothing is new")


defs = Definitions(
    assets=[first, second],
    jobs=[
        define_asset_job("pair", selection=[first, second]),
        define_asset_job(
            "pair_in_process", selection=[first, second], executor_def=in_process_executor
        ),
        held,
        burning,
    ],
    sensors=[tick],
)
