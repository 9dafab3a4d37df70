"""Sensors and schedules that look into their instance, or take long."""

import json
import time
from typing import Any

from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    EventLogEntry,
    JobDefinition,
    RunRequest,
    RunStatusSensorContext,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    asset_sensor,
    run_status_sensor,
    schedule,
    sensor,
)
from dagster._core.run_coordinator import QueuedRunCoordinator

LONG_SECONDS = 100
"""Of a large tick. Dagster by itself waits for 60 s."""


def settings(instance: DagsterInstance) -> dict[str, Any]:
    """What an instance is set to, where its dagster.yaml may say `{env: X}` and elsewhere."""
    coordinator, logs = instance.run_coordinator, instance.compute_log_manager
    queue = None
    if isinstance(coordinator, QueuedRunCoordinator):
        queue = coordinator.get_run_queue_config()
    return {
        "loggers": list(instance.managed_python_loggers),
        "max_concurrent_runs": getattr(queue, "max_concurrent_runs", None),
        "dequeue_workers": getattr(coordinator, "dequeue_num_workers", None),
        "retry_seconds": getattr(queue, "user_code_failure_retry_delay", None),
        "logs_prefix": getattr(logs, "_s3_prefix", None),
        "logs_region": getattr(logs, "_region", None),
        "pool_limit": instance.global_op_concurrency_default_limit,
    }


def ticks(
    job: JobDefinition, after: str
) -> tuple[list[ScheduleDefinition], list[SensorDefinition]]:
    """Make them.

    Args:
        job: What they request.
        after: The asset that `after_upstream` waits for.
    """

    @sensor(job=job, minimum_interval_seconds=3600)
    def tells_its_instance(context: SensorEvaluationContext) -> SkipReason:
        """Say how many runs a tick finds, and which settings."""
        found = {"runs": context.instance.get_runs_count(), **settings(context.instance)}
        return SkipReason(json.dumps(found))

    @asset_sensor(asset_key=AssetKey(after), job=job, minimum_interval_seconds=3600)
    def after_upstream(context: SensorEvaluationContext, event: EventLogEntry) -> RunRequest:
        """Request a run after each materialization, which the tick finds in its instance."""
        assert context.instance.get_run_by_id(event.run_id) is not None
        return RunRequest(run_key=event.run_id)

    @run_status_sensor(
        run_status=DagsterRunStatus.SUCCESS, request_job=job, minimum_interval_seconds=3600
    )
    def after_success(context: RunStatusSensorContext) -> RunRequest:
        """Request a run after each success, which the tick finds in its instance."""
        run = context.instance.get_run_by_id(context.dagster_run.run_id)
        assert run is not None
        return RunRequest(run_key=run.run_id)

    @schedule(job=job, cron_schedule="0 0 1 1 *")
    def yearly(context: ScheduleEvaluationContext) -> SkipReason:
        """Say how many runs a tick finds."""
        return SkipReason(str(context.instance.get_runs_count()))

    @sensor(job=job, minimum_interval_seconds=3600)
    def takes_long(context: SensorEvaluationContext) -> SkipReason:
        """Look into its instance after LONG_SECONDS."""
        time.sleep(LONG_SECONDS)
        return SkipReason(str(context.instance.get_runs_count()))

    @schedule(job=job, cron_schedule="* * * * *")
    def takes_long_too(context: ScheduleEvaluationContext) -> SkipReason:
        """Look into its instance after LONG_SECONDS."""
        time.sleep(LONG_SECONDS)
        return SkipReason(str(context.instance.get_runs_count()))

    return (
        [yearly, takes_long_too],
        [tells_its_instance, after_upstream, after_success, takes_long],
    )
