"""A client that stays with one server while its name leads to several: real servers, small ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.__generated__.dagster_api_pb2_grpc import (
    DagsterApiServicer,
    add_DagsterApiServicer_to_server,
)
from dagster._grpc.client import DagsterGrpcClient

from run_isolation.dagster.web import one_server_client
from run_isolation.dagster.web.one_server_client import OneServerClient, load_from_one_server
from run_isolation.server_identity import ServerIdentity


class Server(DagsterApiServicer):
    """Says who it is."""

    def __init__(self) -> None:
        self.server_id: Callable[[], str] = str
        self._server = grpc.server(ThreadPoolExecutor(max_workers=2))
        add_DagsterApiServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def GetServerId(self, request: Any, context: Any) -> Any:  # noqa: N802
        return dagster_api_pb2.GetServerIdReply(server_id=self.server_id())

    @contextmanager
    def serving(self) -> Iterator[None]:
        self._server.start()
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        self._server.stop(None).wait()


class Redeploy:
    """The old and the new standing server, and a name which leads to each in turn."""

    def __init__(self) -> None:
        self.name, self.old, self.new = Server(), Server(), Server()
        ids = [self._call(server, task) for server, task in ((self.old, "old"), (self.new, "new"))]
        turns = itertools.cycle(ids)
        self.name.server_id = lambda: next(turns)

    def _call(self, server: Server, task: str) -> str:
        server_id = ServerIdentity(task, f"127.0.0.1:{server.port}").to_server_id()
        server.server_id = lambda: server_id
        return server_id

    def client(self, kind: type[DagsterGrpcClient] = OneServerClient) -> Any:
        return kind(host="127.0.0.1", port=self.name.port)


@pytest.fixture
def redeploy() -> Iterator[Redeploy]:
    redeploy = Redeploy()
    with ExitStack() as stack:
        for server in (redeploy.name, redeploy.old, redeploy.new):
            stack.enter_context(server.serving())
        yield redeploy


def asked(client: Any, times: int = 4) -> list[str]:
    """The tasks that answer the next calls."""
    return [client.get_server_id().partition("@")[0] for _ in range(times)]


def test_until_it_is_told_to_stay_each_call_goes_by_the_name(redeploy: Redeploy) -> None:
    assert asked(redeploy.client()) == ["old", "new", "old", "new"]


def test_it_stays_with_the_server_that_answered(redeploy: Redeploy) -> None:
    client = redeploy.client()
    client.stay()
    assert asked(client) == ["old"] * 4


def test_when_that_server_is_gone_it_goes_by_the_name_again(redeploy: Redeploy) -> None:
    client = redeploy.client()
    client.stay()
    redeploy.old.stop()
    with pytest.raises(DagsterUserCodeUnreachableError):
        client.get_server_id()
    assert asked(client, 2) == ["new", "old"]


def test_a_server_that_cannot_be_reached_at_its_own_address_is_asked_by_the_name(
    redeploy: Redeploy,
) -> None:
    redeploy.old.stop()
    client = redeploy.client()
    client.stay()
    assert asked(client, 2) == ["new", "old"]


def test_a_server_that_is_not_ours_is_asked_by_the_name(redeploy: Redeploy) -> None:
    redeploy.name.server_id = lambda: "dagster's own"
    client = redeploy.client()
    client.stay()
    assert asked(client, 1) == ["dagster's own"]


def test_a_load_stays_with_one_server(redeploy: Redeploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_server_client, "load_repositories", lambda client: asked(client))
    assert load_from_one_server(redeploy.client()) == ["old"] * 4
    assert load_from_one_server(redeploy.client(DagsterGrpcClient)) == ["new", "old", "new", "old"]
