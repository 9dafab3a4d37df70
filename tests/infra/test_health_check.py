import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from infra import containers
from infra.deployment import CODE_SERVER_PORT, CONTROL_PORT
from tests.infra.program import deployment

IP = "127.87.0.1"
"""An address of this test's own, so that port 4001 is free."""


class Metadata(BaseHTTPRequestHandler):
    """Task metadata of a container with the address ``IP``."""

    def do_GET(self) -> None:
        assert self.path == "/v4/some-id"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"Networks": [{"IPv4Addresses": [IP]}]}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def metadata() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v4/some-id"
        server.shutdown()
        thread.join()


def check(metadata: str) -> int:
    """Exit code of the health check, as ECS runs it."""
    [container] = json.loads(containers.standing(deployment(), "sales", "arn"))
    _, _, *arguments = container["healthCheck"]["command"]
    environment = {**os.environ, "ECS_CONTAINER_METADATA_URI_V4": metadata}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


@contextmanager
def grpc_server(
    port: int = CONTROL_PORT, status: int = health_pb2.HealthCheckResponse.SERVING
) -> Iterator[ThreadPoolExecutor]:
    """A server that says of itself how Dagster's service is; its only thread."""
    threads = ThreadPoolExecutor(1)
    server = grpc.server(threads, compression=grpc.Compression.Gzip)
    servicer = health.HealthServicer()
    servicer.set("DagsterApi", status)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"{IP}:{port}")
    server.start()
    yield threads
    server.stop(None).wait()


@contextmanager
def answers(data: bytes) -> Iterator[None]:
    """Something that listens, and sends this to the first that connects."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((IP, CONTROL_PORT)))

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_a_server_that_serves_is_healthy(metadata: str) -> None:
    with grpc_server():
        assert check(metadata) == 0


def test_one_that_says_that_it_does_not_is_not(metadata: str) -> None:
    with grpc_server(status=health_pb2.HealthCheckResponse.NOT_SERVING):
        assert check(metadata) != 0


def test_one_that_greets_and_whose_threads_are_stuck_is_not(metadata: str) -> None:
    with grpc_server() as threads:
        go_on = threading.Event()
        stuck = threads.submit(go_on.wait)
        assert check(metadata) != 0
        go_on.set()
        stuck.result()
        assert check(metadata) == 0


def test_the_public_port_alone_is_not(metadata: str) -> None:
    with grpc_server(CODE_SERVER_PORT):
        assert check(metadata) != 0


def test_nobody_who_listens_is_not(metadata: str) -> None:
    assert check(metadata) != 0


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_something_else_that_listens_is_not(metadata: str, data: bytes) -> None:
    with answers(data):
        assert check(metadata) != 0


def test_no_metadata_is_not() -> None:
    assert check("http://127.0.0.1:1/v4/some-id") != 0


def test_it_imports_next_to_nothing() -> None:
    source = (Path(containers.__file__).parent / "health_check.py").read_text()
    lines = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert lines == ["import json", "import os", "import socket"]
