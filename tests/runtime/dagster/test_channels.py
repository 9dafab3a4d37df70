"""Who asks a task that is gone, whose address swallows packets, hears of it soon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

from localaws.conditions import Conditions
from localaws.ecs.addresses import Addresses
from run_isolation.dagster import channels
from run_isolation.dagster.channels import connecting_soon
from run_isolation.dagster.standing.client import ServerSilentError, StandingServer
from run_isolation.dagster.web.one_server_client import OneServerClient
from run_isolation.dagster.web.patient_launch import is_unanswered

PORT = 4000


@pytest.fixture
def gone() -> Iterator[str]:
    """The address of a task that has ended."""
    addresses = Addresses(Conditions())
    address = addresses.take()
    addresses.give_back(address, [PORT])
    yield address
    addresses.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(channels, "CONNECT_SECONDS", 0.5)
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 5


def test_a_standing_server(gone: str) -> None:
    with pytest.raises(ServerSilentError, match="UNAVAILABLE"):
        StandingServer(f"{gone}:{PORT}").identity()


@pytest.mark.parametrize("kind", [DagsterGrpcClient, OneServerClient])
def test_dagsters_client(gone: str, kind: Callable[..., DagsterGrpcClient]) -> None:
    with connecting_soon(), pytest.raises(DagsterUserCodeUnreachableError) as failed:
        kind(host=gone, port=PORT).get_server_id(timeout=10)
    assert is_unanswered(failed.value)


def test_a_client_that_stayed_with_it_goes_by_the_name_again(gone: str) -> None:
    client = OneServerClient(host="127.0.0.1", port=9)
    client._server_address = f"{gone}:{PORT}"
    with connecting_soon():
        for told in (gone, "127.0.0.1:9"):
            with pytest.raises(DagsterUserCodeUnreachableError) as failed:
                client.get_server_id(timeout=10)
            assert isinstance(failed.value.__cause__, grpc.RpcError)
            assert told in failed.value.__cause__.details()
