"""Tags of runs, and calls about them, that another version has written."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import grpc
import pytest
from dagster import DagsterInstance, DagsterRun
from dagster._grpc.__generated__ import dagster_api_pb2

from run_isolation import tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.memory.reexecution import again_id
from run_isolation.dagster.run_record import RunTags, UnknownKindError
from run_isolation.dagster.standing.client import (
    ServerDrainingError,
    ServerFailedError,
    ServerReplacedError,
    ServerSilentError,
    ServerStartingError,
)
from run_isolation.dagster.standing.code_server import RunIsolationApiServer
from run_isolation.dagster.standing.own_instance import OwnInstance
from run_isolation.dagster.standing.run_start import refusal
from run_isolation.errors import DrainingError, StartUnfinishedError
from run_isolation.slots.decision import Kind
from tests.wire.calls import Listener, ask, listening
from tests.wire.recorded import each, parsed
from tests.wire.runs import stored
from tests.wire.values import OTHER_RUN, RUN, SERVER, TASK


def run(file: Path, which: str, run_id: str = RUN) -> DagsterRun:
    return DagsterRun(job_name="report", run_id=run_id, tags=parsed(file)[which])


@each("run_tags.json")
def test_what_became_of_a_run(file: Path) -> None:
    isolated = run_record.read(run(file, "isolated", OTHER_RUN))
    assert isolated == RunTags(Kind.ISOLATED, 1, TASK, None)
    non_isolated = RunTags(Kind.NON_ISOLATED, 1, SERVER.task_arn, SERVER.address)
    assert run_record.read(run(file, "non-isolated")) == non_isolated
    assert run_record.read(run(file, "executes it again", again_id(RUN))) == RunTags(
        Kind.ISOLATED, 1
    )


@each("run_tags.json")
def test_inherited_tags_are_another_runs(file: Path) -> None:
    copied = run(file, "out of memory", OTHER_RUN)
    assert run_record.read(copied) == RunTags()
    assert run_record.out_of_memory_before(copied) == RUN


@each("run_tags.json")
def test_two_daemons_execute_a_run_again_as_the_same_one(file: Path) -> None:
    assert parsed(file)["out of memory"][tag_names.AGAIN] == tag_names.DUE
    assert parsed(file)["executed again"][tag_names.AGAIN] == again_id(RUN)


@each("run_tags.json")
def test_tags_of_a_later_version_stay(file: Path) -> None:
    later = {"run_isolation/colour": "blue"}
    with DagsterInstance.ephemeral() as instance:
        before = stored(instance, RUN, parsed(file)["non-isolated"] | later)
        assert run_record.read(before).kind is Kind.NON_ISOLATED
        run_record.write(instance, before, kind=Kind.ISOLATED, attempt=2)
        after = instance.get_run_by_id(RUN)
        assert after is not None
        assert after.tags["run_isolation/colour"] == "blue"
        assert run_record.read(after).attempt == 2


@each("run_tags.json")
def test_a_kind_of_a_later_version_is_refused_in_words(file: Path) -> None:
    """To take it for one of the two might stop a task that other runs are in."""
    later = run(file, "isolated", OTHER_RUN).with_tags(
        parsed(file)["isolated"] | {tag_names.KIND: "spare"}
    )
    with pytest.raises(UnknownKindError, match=r"kind is 'spare'.*isolated.*release of run-iso"):
        run_record.read(later)


class Aborted(Exception):  # noqa: N818  # what gRPC raises has no name
    """The servicer has ended the call."""


def start(file: Path, processes: Any, server_id: str = SERVER.to_server_id()) -> MagicMock:
    """The recorded call, as gRPC hands it to the servicer of a server. Returns gRPC's context."""
    call = parsed(file)
    server = object.__new__(RunIsolationApiServer)
    own = OwnInstance(None)
    parts = {"_processes": processes, "_own": own, "_loaded_repositories": MagicMock()}
    server.__dict__ |= {"_server_id": server_id, "_logger": MagicMock(), **parts}
    request = dagster_api_pb2.StartRunRequest(serialized_execute_run_args=json.dumps(call["args"]))
    context = MagicMock()
    context.abort.side_effect = Aborted
    later = {"run-isolation-colour": "blue"}
    context.time_remaining.return_value = 60.0
    context.invocation_metadata.return_value = list((call["metadata"] | later).items())
    with suppress(Aborted):
        server.StartRun(request, context)
    return context


@each("start_run.json")
def test_a_server_takes_the_call(file: Path) -> None:
    processes = MagicMock()
    processes.start.return_value = refusal("Not here.")
    start(file, processes).abort.assert_not_called()
    run, attempt, expected_mib, seconds = processes.start.call_args.args
    assert (run.run_id, attempt, expected_mib) == (RUN, 1, 212)
    # The caller's 60 are to see the answer.
    assert 50 < seconds < 60


@each("start_run.json")
def test_another_server_at_its_address_refuses(file: Path) -> None:
    context = start(file, MagicMock(), "arn:aws:ecs:task/another@10.0.1.23:4001")
    assert context.abort.call_args.args[0] is grpc.StatusCode.FAILED_PRECONDITION


@each("start_run.json")
def test_a_server_that_drains_refuses(file: Path) -> None:
    drains = SimpleNamespace(start=MagicMock(side_effect=DrainingError("It is shutting down.")))
    assert start(file, drains).abort.call_args.args[0] is grpc.StatusCode.ABORTED


@each("start_run.json")
def test_a_server_that_is_starting_the_run_says_so_in_words_that_older_launchers_take_for_silence(
    file: Path,
) -> None:
    starts = SimpleNamespace(start=MagicMock(side_effect=StartUnfinishedError("Being started.")))
    assert start(file, starts).abort.call_args.args[0] is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.ALREADY_EXISTS, ServerStartingError),
        (grpc.StatusCode.UNAVAILABLE, ServerSilentError),
        (grpc.StatusCode.UNIMPLEMENTED, ServerReplacedError),
        # Of a connection, not of a servicer.
        (grpc.StatusCode.UNKNOWN, ServerSilentError),
        (grpc.StatusCode.ABORTED, ServerDrainingError),
        (grpc.StatusCode.FAILED_PRECONDITION, ServerReplacedError),
    ],
)
def test_a_refusal_by_a_server_of_another_version(
    code: grpc.StatusCode, error: type[Exception]
) -> None:
    with listening(Listener(code)) as server, pytest.raises(error, match="Not here"):
        ask(server, cast("Any", None))


def test_a_servicer_that_raises_is_done_with_the_call() -> None:
    class Raises(Listener):
        def StartRun(self, request: Any, context: Any) -> Any:  # noqa: N802  # gRPC's name
            raise EOFError("It ended without an answer.")

    with listening(Raises()) as server, pytest.raises(ServerFailedError, match="without an answer"):
        ask(server, cast("Any", None))
