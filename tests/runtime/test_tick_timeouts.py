"""How long a tick may take: what Dagster makes of it in the processes that ask code servers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import grpc
import pytest

from run_isolation.tick_timeouts import ALL_CALLS, VARIABLES, allow_long_ticks

SENSOR, SCHEDULE = VARIABLES

PROGRAM = """
import atexit, json, sys

@atexit.register
def tell():
    import dagster._grpc.client as module
    from dagster._grpc.types import SensorExecutionArgs
    from tests.wire.calls import ORIGIN

    said = [module.DEFAULT_SENSOR_GRPC_TIMEOUT, module.DEFAULT_SCHEDULE_GRPC_TIMEOUT]
    said.append(module.DEFAULT_GRPC_TIMEOUT)
    if port := int(sys.argv.pop()):
        client = module.DagsterGrpcClient(host="127.0.0.1", port=port)
        args = SensorExecutionArgs(
            repository_origin=ORIGIN.repository_origin, instance_ref=None, sensor_name="slow",
            last_tick_completion_time=None, last_run_key=None, cursor=None, log_key=None,
        )
        try:
            client.external_sensor_execution(args)
        except Exception as error:
            said.append(str(error))
    print(json.dumps(said))

from run_isolation.cli import main
main([sys.argv.pop(1), "--help"])
"""
"""A command's process, which tells at its end what its Dagster waits for."""


def told(command: str, port: int = 0, **environment: str) -> list[object]:
    others = {key: value for key, value in os.environ.items() if "GRPC_TIMEOUT" not in key}
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, command, str(port)],
        env=others | environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    said: list[object] = json.loads(answer.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("command", ["daemon", "webserver"])
def test_ticks_may_take_five_minutes_and_other_calls_what_dagster_says(command: str) -> None:
    assert told(command) == [300, 300, 60]


@pytest.fixture
def never_answering() -> Iterator[int]:
    """The port of a code server whose sensor takes longer than anybody waits."""
    ended = Event()

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # untyped
        def service(self, details: object) -> object:
            return grpc.unary_unary_rpc_method_handler(lambda *_: ended.wait(60))

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    ended.set()
    server.stop(None)


def test_the_users_own_value_wins_and_ends_the_tick(never_answering: int) -> None:
    *seconds, error = told("daemon", never_answering, **{SENSOR: "1", SCHEDULE: ""})
    assert seconds == [1, 300, 60]
    assert "The sensor tick timed out due to taking longer than 1 seconds" in str(error)


def test_one_value_of_the_users_for_all_calls_wins_too() -> None:
    environment = {ALL_CALLS: "90"}
    allow_long_ticks(environment=environment)
    assert environment == {ALL_CALLS: "90"}


def test_the_deployment_says_how_long_unless_the_environment_does() -> None:
    environment = {SCHEDULE: "7", ALL_CALLS: "90"}
    allow_long_ticks(100, 200, environment)
    assert environment == {SENSOR: "100", SCHEDULE: "7", ALL_CALLS: "90"}
