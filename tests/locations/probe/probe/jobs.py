"""The jobs alone, for a second code location beside `probe.definitions`.

Module name: `probe.jobs`. An asset may be defined in one code location only: those here have names
of their own. Its ticks open a file of the working directory.
"""

import json
from pathlib import Path

from dagster import (
    AssetExecutionContext,
    AssetSpec,
    Definitions,
    RunRequest,
    SensorEvaluationContext,
    SkipReason,
    asset,
    schedule,
    sensor,
)

from .definitions import Work, limited_job, pooled_job, steps_job, work_job
from .outputs import double, hand_over_job, make, too_early_job
from .ticks import settings, ticks


@asset(group_name="other")
def other_upstream(context: AssetExecutionContext, config: Work) -> None:
    """Materialize it, and the tick of `after_upstream` finds it."""
    context.log.info(f"probe has {json.dumps(settings(context.instance))}")
    config.do(context.run.run_id, context.log)


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


schedules, sensors = ticks(work_job, after="other_upstream")

defs = Definitions(
    assets=[
        other_upstream,
        make("other_numbers"),
        double("other_doubled", of="other_numbers"),
        *(AssetSpec("numbers"), double("other_doubled_of_probe", of="numbers")),
    ],
    jobs=[work_job, steps_job, limited_job, pooled_job, hand_over_job, too_early_job],
    schedules=[reads_a_file_yearly, *schedules],
    sensors=[reads_a_file, counts, *sensors],
)
