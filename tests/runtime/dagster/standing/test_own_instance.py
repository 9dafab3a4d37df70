"""Runs and ticks have the server's own instance, whatever instance a caller sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import dagster._cli.utils
import dagster._grpc.server
import pytest
import yaml
from dagster import DagsterError, DagsterInstance, DagsterRunStatus
from dagster._api.snapshot_sensor import sync_get_external_sensor_execution_data_grpc
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import RemotePartitionSetOrigin, RemoteRepositoryOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._grpc.types import (
    ExecuteExternalJobArgs,
    ExternalScheduleExecutionArgs,
    PartitionArgs,
    PartitionSetExecutionParamArgs,
    SensorExecutionArgs,
)
from dagster._serdes import deserialize_value, serialize_value

from run_isolation.dagster.standing import own_instance
from run_isolation.dagster.standing.own_instance import OwnInstance
from tests.runtime.dagster.account import LOCATION, TABLE, Stack
from tests.runtime.dagster.launches import Launches

server: Any = dagster._grpc.server


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[DagsterInstance]:
    """What a webserver of another configuration sends."""
    home = tmp_path / "elsewhere"
    home.mkdir()
    config = {"python_logs": {"managed_python_loggers": ["of_the_caller"]}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    with DagsterInstance.from_config(str(home)) as instance:
        yield instance


def test_a_run_is_executed_in_the_deployments_instance(
    launches: Launches, elsewhere: DagsterInstance
) -> None:
    run = launches.starting(launches.create())
    assert run.remote_job_origin is not None
    location = launches.workspace().get_code_location(LOCATION)
    assert isinstance(location, GrpcServerCodeLocation)
    args = ExecuteExternalJobArgs(
        job_origin=run.remote_job_origin, run_id=run.run_id, instance_ref=elsewhere.get_ref()
    )
    answer: Any = deserialize_value(location.client.start_run(args))
    assert answer.success, answer
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    assert elsewhere.get_runs_count() == 0


def test_a_tick_has_the_deployments_instance(
    launches: Launches, elsewhere: DagsterInstance
) -> None:
    launches.create()
    location = launches.workspace().get_code_location(LOCATION)
    assert isinstance(location, GrpcServerCodeLocation)
    repository = location.get_repository("__repository__")
    tick = sync_get_external_sensor_execution_data_grpc(
        location.client,
        elsewhere,
        repository.handle,
        "tells_its_instance",
        last_tick_completion_time=None,
        last_run_key=None,
        cursor=None,
        log_key=None,
        last_sensor_start_time=None,
    )
    found = json.loads(tick.skip_message or "")
    assert (found["runs"], found["loggers"]) == (1, [])


@pytest.fixture
def own(tmp_path: Path) -> InstanceRef:
    (tmp_path / "own").mkdir()
    return InstanceRef.from_dir(str(tmp_path / "own"))


def test_it_is_in_the_arguments_of_every_call(
    launches: Launches, elsewhere: DagsterInstance, own: InstanceRef
) -> None:
    theirs = elsewhere.get_ref()
    run = launches.create()
    assert run.remote_job_origin is not None
    origin = run.remote_job_origin.repository_origin
    calls: list[Any] = [
        ExecuteExternalJobArgs(
            job_origin=run.remote_job_origin, run_id=run.run_id, instance_ref=theirs
        ),
        _sensor(origin, theirs),
        _schedule(origin, theirs),
        PartitionArgs(
            repository_origin=origin,
            job_name="job",
            partition_set_name="set",
            partition_name="a",
            instance_ref=theirs,
        ),
        PartitionSetExecutionParamArgs(
            repository_origin=origin,
            partition_set_name="set",
            partition_names=["a"],
            instance_ref=None,
        ),
    ]
    for args in calls:
        with OwnInstance(own).installed():
            read = server.deserialize_value(serialize_value(args), type(args))
        assert read.instance_ref == own
        assert type(read) is type(args)
        with OwnInstance(None).installed():
            assert server.deserialize_value(serialize_value(args)) == args
    others = RemotePartitionSetOrigin(repository_origin=origin, partition_set_name="set")
    assert OwnInstance(own).of(others) is others


def _sensor(origin: RemoteRepositoryOrigin, ref: InstanceRef) -> SensorExecutionArgs:
    return SensorExecutionArgs(
        repository_origin=origin,
        instance_ref=ref,
        sensor_name="sensor",
        last_tick_completion_time=None,
        last_run_key=None,
        cursor="at",
        log_key=None,
        last_sensor_start_time=None,
    )


def _schedule(origin: RemoteRepositoryOrigin, ref: InstanceRef) -> ExternalScheduleExecutionArgs:
    return ExternalScheduleExecutionArgs(
        repository_origin=origin,
        instance_ref=ref,
        schedule_name="schedule",
        scheduled_execution_timestamp=0.0,
        scheduled_execution_timezone="UTC",
        log_key=None,
    )


SPLIT = {
    f"{name}_storage": {
        "module": f"dagster._core.storage.{package}",
        "class": f"Sqlite{kind}Storage",
        "config": {"base_dir": {"env": "SPLIT_DIRECTORY"}},
    }
    for name, package, kind in (
        ("run", "runs", "Run"),
        ("event_log", "event_log", "EventLog"),
        ("schedule", "schedules", "Schedule"),
    )
}


@pytest.mark.parametrize("storage", [{}, SPLIT], ids=["whole", "split"])
def test_a_server_that_starts_makes_no_tables_on_sqlite(
    storage: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several start at once, beside the webserver."""
    home = tmp_path / "own"
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(storage))
    monkeypatch.setenv("SPLIT_DIRECTORY", str(home))
    own = InstanceRef.from_dir(str(home))
    with (
        OwnInstance(own).installed(),
        pytest.raises(DagsterError, match="without it"),
        dagster._cli.utils.get_instance_for_cli(instance_ref=None),
    ):
        pass
    assert list(home.rglob("*.db")) == []


def test_a_server_that_starts_opens_it_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = {"postgres": {"postgres_url": "postgresql://nobody@127.0.0.1/none"}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage}))
    monkeypatch.setattr(own_instance, "_open_for_cli", Mock(return_value=nullcontext("instance")))
    with (
        OwnInstance(InstanceRef.from_dir(str(tmp_path))).installed(),
        dagster._cli.utils.get_instance_for_cli(instance_ref=None) as instance,
    ):
        assert str(instance) == "instance"


def test_a_version_without_the_seam_says_so(
    own: InstanceRef, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(server, "deserialize_value")
    with OwnInstance(own).installed():
        assert "Ticks use the instance of whoever asks for them." in caplog.text


def test_a_container_that_can_not_use_it_says_so_and_ends(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "dagster_yaml", {"python_logs": {"colour": "blue"}})
    instance = stack.instance
    stack.account.client("dynamodb").put_item(TableName=TABLE, Item=instance.to_item())
    command = ["run-isolation", "code-server", "--port", "4000"]
    task_arn = stack.run_task(
        stack.register("standing", [*command, "--module-name", "probe.definitions"])
    )
    stack.wait_for_stopped(task_arn)
    said = stack.output("standing", task_arn).splitlines()[-1]
    assert said.startswith(f"Dagster instance, version {instance.version}: Dagster ")
    assert "does not know python_logs.colour" in said
