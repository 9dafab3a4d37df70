"""Dagster definitions of the sales location. Module name: `sales.definitions`.

Assets and ops hand each other values through Dagster's default I/O manager, as in any project. It
writes files, and every isolated run is a task with a disk of its own: what crosses runs needs an
I/O manager that all of them reach, such as one on S3 (`dagster_aws.s3`).
"""

from collections import Counter

from dagster import (
    AssetExecutionContext,
    Config,
    Definitions,
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


@asset(group_name="sales")
def orders(context: AssetExecutionContext, config: BatchConfig) -> dict[str, int]:
    """Revenue per country of one batch, in cents."""
    batch = config.read()
    cents: Counter[str] = Counter()
    for order in batch:
        cents[order.country] += order.cents
    context.add_output_metadata({"orders": len(batch), "cents_by_country": dict(cents)})
    return dict(cents)


@asset(group_name="sales")
def revenue_by_country(context: AssetExecutionContext, orders: dict[str, int]) -> dict[str, int]:
    """Revenue per country in whole euros, the biggest first."""
    ranked = sorted(orders.items(), key=lambda item: item[1], reverse=True)
    euros = {country: cents // 100 for country, cents in ranked}
    context.add_output_metadata({"euros": euros})
    return euros


@asset(group_name="sales")
def sales_report(context: AssetExecutionContext, revenue_by_country: dict[str, int]) -> str:
    """One line that people read in the morning."""
    top = max(revenue_by_country, key=revenue_by_country.__getitem__)
    summary = f"{sum(revenue_by_country.values())} EUR, most of it from {top}"
    context.add_output_metadata({"summary": summary})
    return summary


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
