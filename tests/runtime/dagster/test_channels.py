"""Who asks a task that is gone, whose address swallows packets, hears of it soon.

A server that is slow has the time that it had.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.client import DagsterGrpcClient

from localaws.conditions import Conditions
from localaws.ecs.addresses import Addresses
from run_isolation.dagster import channels
from run_isolation.dagster.channels import connecting_soon
from run_isolation.dagster.standing.client import ServerSilentError, StandingServer
from run_isolation.dagster.web.one_server_client import OneServerClient
from run_isolation.dagster.web.patient_launch import is_unanswered

PORT = 4000

# Answers each call with what GetServerId does: `server_id` is "other".
SERVER = """
import grpc
from concurrent.futures import ThreadPoolExecutor

class Any(grpc.GenericRpcHandler):
    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"\\n\\x05other")

server = grpc.server(ThreadPoolExecutor(1), handlers=[Any()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
"""


@pytest.fixture
def gone() -> Iterator[str]:
    """The address of a task that has ended."""
    addresses = Addresses(Conditions())
    address = addresses.take()
    addresses.give_back(address, [PORT])
    yield address
    addresses.close()


@pytest.fixture
def stopped() -> Iterator[int]:
    """The port of a server whose kernel takes connections, and which gets no CPU for a while."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        server.send_signal(signal.SIGSTOP)
        goes_on = threading.Timer(
            3 * channels.CONNECT_SECONDS, server.send_signal, [signal.SIGCONT]
        )
        goes_on.start()
        yield port
        goes_on.join()
        server.kill()


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


def test_a_server_that_is_slow_is_waited_for(stopped: int) -> None:
    assert StandingServer(f"127.0.0.1:{stopped}").identity() is None


def test_a_server_that_is_slow_is_waited_for_by_dagsters_client(stopped: int) -> None:
    with connecting_soon():
        assert DagsterGrpcClient(port=stopped).get_server_id(timeout=10) == "other"


def test_a_server_that_is_slow_is_waited_for_by_dagsters_async_client(stopped: int) -> None:
    client = DagsterGrpcClient(port=stopped)
    with connecting_soon():
        asked = client._gen_query("GetServerId", dagster_api_pb2.Empty, timeout=10)
        assert asyncio.run(asked).server_id == "other"
