"""Every question that Dagster's client can ask, as a function of who is asked.

Answers hold no address, no id of a process and no time, so two servers of one location must give
the same.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

from dagster import AssetKey
from dagster._api.list_repositories import sync_list_repositories_grpc
from dagster._api.snapshot_execution_plan import sync_get_external_execution_plan_grpc
from dagster._api.snapshot_job import sync_get_external_job_subset_grpc
from dagster._api.snapshot_partition import (
    sync_get_external_partition_config_grpc,
    sync_get_external_partition_names_grpc,
    sync_get_external_partition_set_execution_param_data_grpc,
    sync_get_external_partition_tags_grpc,
)
from dagster._api.snapshot_repository import sync_get_external_repositories_data_grpc
from dagster._api.snapshot_schedule import sync_get_external_schedule_execution_data_grpc
from dagster._api.snapshot_sensor import sync_get_external_sensor_execution_data_grpc
from dagster._core.definitions.timestamp import TimestampWithTimezone
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._grpc.types import GetCurrentImageResult
from dagster._serdes import deserialize_value

from tests.code_server.runs import Runs

Call = Callable[[Runs], Any]
JOB: Final = "partitioned_job"
NINE: Final = 1_767_258_000.0
"""2026-01-01, 09:00 UTC."""


def _ping(runs: Runs) -> Any:
    return runs.server.client.ping("hello")["echo"]


def _heartbeat(runs: Runs) -> Any:
    return runs.server.client.heartbeat("hello")


def _streaming_ping(runs: Runs) -> Any:
    return list(runs.server.client.streaming_ping(5, "hello"))


def _health(runs: Runs) -> Any:
    return runs.server.client.health_check_query()  # type: ignore[no-untyped-call]


def _list_repositories(runs: Runs) -> Any:
    return sync_list_repositories_grpc(runs.server.client)


def _repository(runs: Runs) -> Any:
    [(repository, _)] = sync_get_external_repositories_data_grpc(
        runs.server.client, runs.location, defer_snapshots=False
    ).values()
    assert repository.has_job_data()  # type: ignore[no-untyped-call]
    return repository


def _deferred_repository(runs: Runs) -> Any:
    [answer] = sync_get_external_repositories_data_grpc(
        runs.server.client, runs.location, defer_snapshots=True
    ).values()
    return answer


def _streamed_repository(runs: Runs) -> Any:
    async def chunks() -> str:
        origin = runs.repository.get_remote_origin()
        answers = runs.server.client.gen_streaming_external_repository(origin)
        return "".join([each["serialized_external_repository_chunk"] async for each in answers])

    return deserialize_value(asyncio.run(chunks()), RepositorySnap)


def _partition_names(runs: Runs) -> Any:
    return sync_get_external_partition_names_grpc(runs.server.client, runs.repository.handle, JOB)


def _partition_config(runs: Runs) -> Any:
    return sync_get_external_partition_config_grpc(
        runs.server.client, runs.repository.handle, JOB, "a", runs.instance
    )


def _partition_tags(runs: Runs) -> Any:
    return sync_get_external_partition_tags_grpc(
        runs.server.client, runs.repository.handle, JOB, "a", runs.instance
    )


def _partition_set(runs: Runs) -> Any:
    return sync_get_external_partition_set_execution_param_data_grpc(
        runs.server.client,
        runs.repository.handle,
        f"{JOB}_partition_set",
        ["a", "b"],
        runs.instance,
    )


def _sensor(runs: Runs) -> Any:
    return sync_get_external_sensor_execution_data_grpc(
        *(runs.server.client, runs.instance, runs.repository.handle, "requests_a_run"),
        last_tick_completion_time=None,
        last_run_key=None,
        cursor=None,
        log_key=None,
    )


def _schedule(runs: Runs) -> Any:
    return sync_get_external_schedule_execution_data_grpc(
        *(runs.server.client, runs.instance, runs.repository.handle, "every_minute"),
        scheduled_execution_time=TimestampWithTimezone(NINE, "UTC"),
        log_key=None,
    )


def _plan(runs: Runs) -> Any:
    job = runs.repository.get_full_job("steps_job")
    return sync_get_external_execution_plan_grpc(
        runs.server.client,
        job.get_remote_origin(),
        run_config={},
        job_snapshot_id=job.identifying_job_snapshot_id,
        instance=runs.instance,
    )


def _job_subset(runs: Runs) -> Any:
    job = runs.repository.get_full_job(JOB)
    return sync_get_external_job_subset_grpc(
        runs.server.client,
        job.get_remote_origin(),
        include_parent_snapshot=True,
        asset_selection={AssetKey("partitioned")},
    )


def _job_subset_that_is_none(runs: Runs) -> Any:
    job = runs.repository.get_full_job("steps_job")
    try:
        return sync_get_external_job_subset_grpc(
            *(runs.server.client, job.get_remote_origin(), True), op_selection=["nobody"]
        )
    except Exception as error:
        return type(error), "nobody" in str(error)


def _image(runs: Runs) -> Any:
    return deserialize_value(runs.server.client.get_current_image(), GetCurrentImageResult)


def _notebook_that_is_missing(runs: Runs) -> Any:
    try:
        return runs.server.client.external_notebook_data("/no/such/notebook.ipynb")
    except DagsterUserCodeUnreachableError as error:
        return re.sub(r"127\.0\.0\.1:\d+", "", str(error.__cause__))[:200]


def _reload(runs: Runs) -> Any:
    return runs.server.client.reload_code(timeout=60).SerializeToString()


CALLS: Final[dict[str, Call]] = {
    "Ping": _ping,
    "Heartbeat": _heartbeat,
    "StreamingPing": _streaming_ping,
    "health": _health,
    "ListRepositories": _list_repositories,
    "ExternalRepository": _repository,
    "ExternalRepository and ExternalJob": _deferred_repository,
    "StreamingExternalRepository": _streamed_repository,
    "ExternalPartitionNames": _partition_names,
    "ExternalPartitionConfig": _partition_config,
    "ExternalPartitionTags": _partition_tags,
    "ExternalPartitionSetExecutionParams": _partition_set,
    "SyncExternalSensorExecution": _sensor,
    "SyncExternalScheduleExecution": _schedule,
    "ExecutionPlanSnapshot": _plan,
    "ExternalPipelineSubsetSnapshot": _job_subset,
    "ExternalPipelineSubsetSnapshot, refused": _job_subset_that_is_none,
    "GetCurrentImage": _image,
    "ExternalNotebookData, missing": _notebook_that_is_missing,
    "ReloadCode": _reload,
}
