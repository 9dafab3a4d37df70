"""The jobs alone, for a second code location beside `probe.definitions`.

Module name: `probe.jobs`. An asset may be defined in one code location only. Its ticks open a file
of the working directory.
"""

from pathlib import Path

from dagster import (
    Definitions,
    RunRequest,
    SensorEvaluationContext,
    SkipReason,
    schedule,
    sensor,
)

from .definitions import limited_job, pooled_job, steps_job, work_job


@sensor(job=work_job)
def reads_a_file() -> RunRequest:
    """Request a run for the rows that it reads."""
    return RunRequest(run_key=Path("rows.txt").read_text().strip())


@sensor(job=work_job, minimum_interval_seconds=1)
def counts(context: SensorEvaluationContext) -> SkipReason:
    """Count ticks, in the cursor."""
    context.update_cursor(str(int(context.cursor or 0) + 1))
    return SkipReason("probe: it counts")


@schedule(job=work_job, cron_schedule="@yearly")
def reads_a_file_yearly() -> RunRequest:
    """Request a run for the rows that it reads."""
    return RunRequest(run_key=Path("rows.txt").read_text().strip())


defs = Definitions(
    jobs=[work_job, steps_job, limited_job, pooled_job],
    schedules=[reads_a_file_yearly],
    sensors=[reads_a_file, counts],
)
