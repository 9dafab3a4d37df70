"""Dagster definitions of the sales location. Module name: `sales.definitions`.

How the assets hand data to each other: as materialization metadata in Dagster's event log, never
through the default I/O manager. That one writes files, and every isolated run is a task with a
disk of its own that goes away with it: materialize `revenue_by_country` alone, and the file that
`orders` wrote in another task is not there. These results are a few numbers, so the event log
holds them. For real data give the assets an I/O manager on S3 (`dagster_aws.s3`).
Ops of one job may use the default: all steps of a run share the task, and so the disk.
"""

from collections import Counter

from dagster import (
    AssetExecutionContext,
    AssetKey,
    Config,
    Definitions,
    Failure,
    MaterializeResult,
    OpExecutionContext,
    RunConfig,
    RunRequest,
    ScheduleEvaluationContext,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    asset,
    define_asset_job,
    job,
    op,
    schedule,
    sensor,
)

from sales import feed


class BatchConfig(Config):
    """Which batch of the feed to read.

    Attributes:
        batch: Number of the batch; 0 means the newest.
        size: How many orders to read from it.
    """

    batch: int = 0
    size: int = 2_000

    def read(self) -> list[feed.Order]:
        """Return the orders that this config asks for."""
        return feed.read_batch(self.batch or feed.newest_batch(), self.size)


def recorded(context: AssetExecutionContext, asset_name: str, entry: str) -> dict[str, int]:
    """Return a JSON entry of the newest materialization of an upstream asset.

    Raises:
        Failure: The upstream asset was never materialized.
    """
    materialization = context.instance.get_latest_materialization_event(AssetKey(asset_name))
    if materialization is None or materialization.asset_materialization is None:
        raise Failure(f"{asset_name} has no materialization yet. Materialize {asset_name} first.")
    value = materialization.asset_materialization.metadata[entry].value
    return dict(value)


@asset(group_name="sales")
def orders(config: BatchConfig) -> MaterializeResult[None]:
    """Revenue per country of one batch, in cents."""
    batch = config.read()
    cents: Counter[str] = Counter()
    for order in batch:
        cents[order.country] += order.cents
    return MaterializeResult(metadata={"orders": len(batch), "cents_by_country": dict(cents)})


@asset(group_name="sales", deps=[orders])
def revenue_by_country(context: AssetExecutionContext) -> MaterializeResult[None]:
    """Revenue per country in whole euros, the biggest first."""
    cents = recorded(context, "orders", "cents_by_country")
    ranked = sorted(cents.items(), key=lambda item: item[1], reverse=True)
    return MaterializeResult(metadata={"euros": {country: sum_ // 100 for country, sum_ in ranked}})


@asset(group_name="sales", deps=[revenue_by_country])
def sales_report(context: AssetExecutionContext) -> MaterializeResult[None]:
    """One line that people read in the morning."""
    euros = recorded(context, "revenue_by_country", "euros")
    top = max(euros, key=euros.__getitem__)
    return MaterializeResult(
        metadata={"summary": f"{sum(euros.values())} EUR, most of it from {top}"}
    )


refresh_sales = define_asset_job(
    "refresh_sales",
    selection=[orders, revenue_by_country, sales_report],
    description="Materializes all sales assets. Isolated, as every run is by default.",
)


@op
def unpaid_orders(context: OpExecutionContext, config: BatchConfig) -> int:
    """Count the orders of a batch that are not paid in full."""
    batch = config.read()
    unpaid = sum(order.paid_cents < order.cents for order in batch)
    context.log.info(f"{unpaid} of {len(batch)} orders are not paid in full")
    return unpaid


@op
def check_unpaid(context: OpExecutionContext, unpaid: int) -> None:
    """Warn when a batch has more unpaid orders than support can call in a day."""
    if unpaid > 100:
        context.log.warning(f"{unpaid} unpaid orders: tell support")


# The tag asks for a non-isolated run: the answer is wanted now, and the work is small enough for
# the standing container. It takes effect only for runs launched by hand, where the deployment
# allows non-isolated runs and a slot is free; otherwise the run is isolated.
@job(
    tags={"dagster/isolation": "disabled"},
    description="Counts unpaid orders. Small and wanted at once, so it asks not to be isolated.",
)
def check_feed() -> None:
    """Count the unpaid orders of a batch."""
    check_unpaid(unpaid_orders())


@sensor(job=check_feed, minimum_interval_seconds=60)
def new_batch(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Request `check_feed` once for every newest batch. Stopped until someone starts it."""
    newest = feed.newest_batch()
    if context.cursor == str(newest):
        return SkipReason(f"batch {newest} was requested before; the next closes within 15 minutes")
    request = RunRequest(
        run_key=str(newest),
        run_config=RunConfig(ops={"unpaid_orders": BatchConfig(batch=newest)}),
    )
    return SensorResult(run_requests=[request], cursor=str(newest))


@schedule(job=refresh_sales, cron_schedule="0 6 * * *", execution_timezone="UTC")
def every_morning(context: ScheduleEvaluationContext) -> RunRequest:
    """Refresh from the batch that had closed at the scheduled time. Stopped by default."""
    batch = feed.newest_batch(context.scheduled_execution_time)
    return RunRequest(run_config=RunConfig(ops={"orders": BatchConfig(batch=batch)}))


defs = Definitions(
    assets=[orders, revenue_by_country, sales_report],
    jobs=[refresh_sales, check_feed],
    sensors=[new_batch],
    schedules=[every_morning],
)
