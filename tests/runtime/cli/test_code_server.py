"""The code server as a real process, asked by Dagster's own client."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import AssetKey
from dagster._api.list_repositories import sync_list_repositories_grpc
from dagster._core.errors import DagsterUserCodeProcessError, DagsterUserCodeUnreachableError
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.test_utils import instance_for_test
from dagster._grpc.client import DagsterGrpcClient

from tests.runtime.task_endpoint import endpoint
from tests.waiting import PATIENCE_SECONDS, eventually
from tools.ports import free_port

Server = subprocess.Popen[str]

COMMAND = [str(Path(sys.executable).with_name("run-isolation")), "code-server"]
REVISION = "arn:aws:ecs:us-east-1:123456789012:task-definition/run-isolation-test-sales-isolated:7"
CONTEXT = {"run_isolation": {"task_definition": REVISION}}
ADDRESS = "127.0.0.2"
"""One of this machine's own addresses that is not the default one."""

CODE = """
import dagster as dg

@dg.asset
def orders(): ...

defs = dg.Definitions(assets=[orders], jobs=[dg.define_asset_job("daily", [orders])])
"""
BROKEN_CODE = "raise ValueError('broken by design')"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The image: what is in it can be imported."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("ECS_CONTAINER_METADATA_URI_V4", raising=False)
    return tmp_path


@contextmanager
def serving(directory: Path, code: str, *options: str) -> Iterator[tuple[Server, int]]:
    """Runs the server; ends it the way ECS does."""
    (directory / "sales.py").write_text(code)
    port = free_port()
    given = ["--port", str(port), "--module-name", "sales", "--location-name", "sales", *options]
    with Server(
        [*COMMAND, *given],
        cwd=directory,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as server:
        try:
            yield server, port
        finally:
            server.terminate()
            server.communicate(timeout=PATIENCE_SECONDS)


def connect(server: Server, address: str, port: int) -> DagsterGrpcClient:
    """A client of the server, once it answers."""
    client = DagsterGrpcClient(host=address, port=port)

    def answers() -> bool:
        try:
            client.ping("")
        except DagsterUserCodeUnreachableError:
            assert server.poll() is None, server.communicate()[0]
            return False
        return True

    eventually(answers, "the server is ready")
    return client


def test_serves_the_location_at_the_task_s_own_address(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = {
        "TaskARN": "arn:aws:ecs:us-east-1:123456789012:task/run-isolation-test/0123",
        "Containers": [{"Networks": [{"IPv4Addresses": [ADDRESS]}]}],
    }
    context = ["--container-context", json.dumps(CONTEXT)]
    with endpoint(task) as url, instance_for_test() as instance:
        monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", url)
        with serving(directory, CODE, *context) as (server, port):
            client = connect(server, ADDRESS, port)

            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port)).close()
            assert sync_list_repositories_grpc(client).container_context == CONTEXT
            origin = GrpcServerCodeLocationOrigin(host=ADDRESS, port=port, location_name="sales")
            location = GrpcServerCodeLocation(origin, instance=instance)
            (repository,) = location.get_repositories().values()
            assert repository.asset_graph.get_all_asset_keys() == {AssetKey("orders")}
            # What a run of this job carries as run.job_code_origin.
            job_origin = repository.get_full_job("daily").get_python_origin()
            assert job_origin.repository_origin.container_context == CONTEXT


@pytest.mark.usefixtures("background_job")
def test_serves_on_all_addresses_outside_of_a_task(directory: Path) -> None:
    with serving(directory, CODE) as (server, port):
        for address in ("127.0.0.1", ADDRESS):
            connect(server, address, port)


def test_code_that_cannot_be_imported_ends_the_server_as_dagster_s_does(directory: Path) -> None:
    with serving(directory, BROKEN_CODE) as (server, _):
        output, _ = server.communicate(timeout=PATIENCE_SECONDS)

    assert server.returncode == 1
    assert "broken by design" in output


def test_code_that_cannot_be_imported_is_served_as_an_error_where_asked(directory: Path) -> None:
    with serving(directory, BROKEN_CODE, "--lazy-load-user-code") as (server, port):
        client = connect(server, "127.0.0.1", port)
        with pytest.raises(DagsterUserCodeProcessError, match="broken by design"):
            sync_list_repositories_grpc(client)


def test_options_are_dagster_s() -> None:
    answer = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)

    assert answer.stdout.startswith("Usage: run-isolation code-server")
    for option in ("--python-file", "--autoload-defs-module-name", "--container-context"):
        assert option in answer.stdout


def test_endpoint_without_an_answer_is_said(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", "http://127.0.0.1:1/v4/abc")
    with serving(directory, CODE) as (server, _):
        output, _ = server.communicate(timeout=PATIENCE_SECONDS)

    assert server.returncode == 1
    assert "The task metadata endpoint http://127.0.0.1:1/v4/abc/task gave no" in output


def test_working_directory_that_the_image_does_not_have_is_said(tmp_path: Path) -> None:
    answer = subprocess.run(
        [*COMMAND, "--port", "1", "--module-name", "sales"],
        cwd=tmp_path,
        env={**os.environ, "RUN_ISOLATION_WORKING_DIRECTORY": "/srv/sales"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 1
    assert "workingDirectory is /srv/sales, and the image has no such directory" in answer.stderr
    assert "leave the key out" in answer.stderr
