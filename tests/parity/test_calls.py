"""Dagster's own client gets the same answers of both servers."""

from __future__ import annotations

import pytest
from dagster import AssetKey
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget

from tests.code_server.runs import Runs
from tests.code_server.servers import ADDRESS
from tests.parity.calls import CALLS
from tests.parity.conftest import Pair
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", CALLS)
def test_both_servers_answer_the_same(pair: Pair, name: str) -> None:
    ours, dagster = CALLS[name](pair.ours), CALLS[name](pair.dagster)
    assert ours == dagster
    assert ours is not None


def test_a_server_has_one_id_for_as_long_as_it_lives(pair: Pair) -> None:
    first, again = (pair.ours.server.client.get_server_id() for _ in range(2))
    assert first == again != pair.dagster.server.client.get_server_id()


def test_every_method_of_dagster_s_service_has_been_asked_for(pair: Pair) -> None:
    """A method that Dagster adds is compared, too, or named here with the test that does."""
    from dagster._grpc.__generated__ import dagster_api_pb2

    service = dagster_api_pb2.DESCRIPTOR.services_by_name["DagsterApi"]
    asked = {part for name in CALLS for part in name.replace(",", " ").split()}
    elsewhere = {
        *("StartRun", "CancelExecution", "CanCancelExecution", "GetCurrentRuns", "GetServerId"),
        "ShutdownServer",
        # Dagster's client asks for these only when the sync ones are UNIMPLEMENTED.
        *("ExternalScheduleExecution", "ExternalSensorExecution"),
        # Components with state alone, whose server is Dagster's proxy.
        *("RefreshComponentState", "ReloadCodeWithState"),
    }
    assert {method.name for method in service.methods} - asked - elsewhere == set()


def test_the_workspace_has_the_same_assets(pair: Pair) -> None:
    graphs = []
    for runs in (pair.ours, pair.dagster):
        target = GrpcServerTarget(
            host=ADDRESS, port=runs.server.port, socket=None, location_name="under_test"
        )
        with WorkspaceProcessContext(runs.instance, target) as process_context:
            graphs.append(process_context.create_request_context().asset_graph)
    ours, dagster = graphs
    assert ours.get_all_asset_keys() == dagster.get_all_asset_keys() != set()
    for key in ours.get_all_asset_keys():
        assert ours.get(key).parent_keys == dagster.get(key).parent_keys
        assert ours.get(key).job_names == dagster.get(key).job_names
    assert ours.get(AssetKey("partitioned")).partitions_def is not None


def canceled(runs: Runs) -> dict[str, object]:
    """What is seen of a run that is canceled while it works."""
    run = runs.create("work_job", {"ops": {"work": {"config": {"seconds": 120}}}})
    seen: dict[str, object] = {"before": runs.can_cancel(run), "runs before": runs.current()}
    assert runs.start(run).success
    eventually(lambda: ("STEP_START", "work") in runs.sequence(run), lambda: runs.told(run))
    seen["runs"] = runs.current() == {run.run_id}
    seen["can be canceled"] = runs.can_cancel(run)
    seen["canceled"] = runs.cancel(run)
    seen["twice"] = runs.can_cancel(run)
    runs.ended(run)
    seen["events"] = runs.sequence(run)
    seen["after"] = runs.cancel(run), runs.can_cancel(run)
    return seen


def test_a_run_is_canceled_alike(pair: Pair) -> None:
    ours, dagster = canceled(pair.ours), canceled(pair.dagster)
    assert ours == dagster
    assert ours["canceled"] is True
    assert ("PIPELINE_CANCELED", None) in ours["events"]  # type: ignore[operator]


def failed_to_start(runs: Runs) -> object:
    """The answer to StartRun of a run that nobody knows."""
    run = runs.create("work_job")
    runs.instance.delete_run(run.run_id)
    result = runs.start(run)
    return result.success, str(result.message).replace(run.run_id, "")


def test_a_run_that_cannot_start_is_refused_alike(pair: Pair) -> None:
    ours = failed_to_start(pair.ours)
    assert ours == failed_to_start(pair.dagster)
    assert ours[0] is False  # type: ignore[index]
    assert pair.ours.current() == set()
