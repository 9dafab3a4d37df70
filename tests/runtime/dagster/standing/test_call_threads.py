"""Calls that wait for nothing are answered while all other threads wait; health tells of those."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

import grpc
import pytest
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.__generated__.dagster_api_pb2_grpc import (
    DagsterApiServicer,
    DagsterApiStub,
    add_DagsterApiServicer_to_server,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc

from run_isolation.dagster.standing import call_threads
from run_isolation.dagster.standing.call_threads import PoolWatch, PromptHealth
from tests.waiting import eventually

SECONDS = 10


class Servicer(DagsterApiServicer):
    """Waits in a call that user code may be in, until it may go on."""

    def __init__(self) -> None:
        self.waits, self.may_go_on = Event(), Event()

    def ListRepositories(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        self.waits.set()
        self.may_go_on.wait(3 * SECONDS)
        return dagster_api_pb2.ListRepositoriesReply()

    def GetServerId(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
        return dagster_api_pb2.GetServerIdReply(server_id="this")


@pytest.fixture
def servicer() -> Iterator[Servicer]:
    servicer = Servicer()
    yield servicer
    servicer.may_go_on.set()


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> PoolWatch:
    watch = PoolWatch(ThreadPoolExecutor(1), seconds=0)
    monkeypatch.setattr(call_threads, "watches", [watch])
    return watch


@pytest.fixture
def channel(servicer: Servicer, watch: PoolWatch) -> Iterator[grpc.Channel]:
    """Of a server whose only thread waits."""
    call_threads.give_own_threads(servicer, watch._pool)
    server = grpc.server(watch._pool)
    add_DagsterApiServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    health = PromptHealth()
    health.set("DagsterApi", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Future[Any] = DagsterApiStub(channel).ListRepositories.future(  # type: ignore[no-untyped-call]
            dagster_api_pb2.ListRepositoriesRequest()
        )
        assert servicer.waits.wait(SECONDS)
        yield channel
        servicer.may_go_on.set()
        call.result(SECONDS)
    server.stop(None)


def status(channel: grpc.Channel) -> Any:
    asked = health_pb2.HealthCheckRequest(service="DagsterApi")
    return health_pb2_grpc.HealthStub(channel).Check(asked, timeout=SECONDS).status


def test_a_call_that_waits_for_nothing_is_answered(channel: grpc.Channel) -> None:
    stub = DagsterApiStub(channel)  # type: ignore[no-untyped-call]
    assert stub.GetServerId(dagster_api_pb2.Empty(), timeout=SECONDS).server_id == "this"


def test_health_is_told_at_once_and_is_bad_while_the_other_threads_come_to_no_end(
    channel: grpc.Channel, watch: PoolWatch, servicer: Servicer
) -> None:
    assert status(channel) == health_pb2.HealthCheckResponse.SERVING
    for _ in range(3):
        watch.look()
    assert status(channel) == health_pb2.HealthCheckResponse.NOT_SERVING
    servicer.may_go_on.set()
    eventually(lambda: status(channel) == health_pb2.HealthCheckResponse.SERVING)


def test_a_pool_that_is_only_busy_is_not_stuck() -> None:
    with ThreadPoolExecutor(1) as pool:
        watch, go_on = PoolWatch(pool, seconds=600), Event()
        pool.submit(go_on.wait)
        watch.look()
        assert not watch.is_stuck
        go_on.set()
