from datetime import UTC, datetime
from types import ModuleType

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    RunRequest,
    SensorResult,
    SkipReason,
    build_schedule_context,
    build_sensor_context,
)

from tests.examples.locations import Load, MaterializeAlone


@pytest.fixture
def sales(load: Load) -> ModuleType:
    return load("examples/sales", "sales.definitions")


def test_assets_hand_data_from_run_to_run_by_the_default_io_manager(
    sales: ModuleType, materialize_alone: MaterializeAlone
) -> None:
    cents = materialize_alone(sales.defs, "orders", batch=7, size=100)["cents_by_country"]
    euros = materialize_alone(sales.defs, "revenue_by_country")["euros"]
    summary = materialize_alone(sales.defs, "sales_report")["summary"]

    assert euros == {country: value // 100 for country, value in cents.items()}
    assert list(euros.values()) == sorted(euros.values(), reverse=True)
    assert summary == f"{sum(euros.values())} EUR, most of it from {max(euros, key=euros.get)}"


def test_assets_still_depend_on_each_other(sales: ModuleType) -> None:
    graph = sales.defs.resolve_asset_graph()
    assert graph.get(AssetKey("sales_report")).parent_keys == {AssetKey("revenue_by_country")}
    assert graph.get(AssetKey("revenue_by_country")).parent_keys == {AssetKey("orders")}


def test_asset_job_materializes_all_assets(sales: ModuleType, instance: DagsterInstance) -> None:
    job = sales.defs.resolve_job_def("refresh_sales")
    result = job.execute_in_process(instance=instance)

    materialized = {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}
    assert materialized == {"orders", "revenue_by_country", "sales_report"}


def test_op_job_counts_the_unpaid_orders_of_a_batch(
    sales: ModuleType, instance: DagsterInstance
) -> None:
    result = sales.check_feed.execute_in_process(
        run_config={"ops": {"unpaid_orders": {"config": {"batch": 7, "size": 200}}}},
        instance=instance,
    )
    assert result.output_for_node("unpaid_orders") == 4  # one in fifty


def test_only_the_op_job_asks_not_to_be_isolated(sales: ModuleType) -> None:
    assert sales.check_feed.tags == {"dagster/isolation": "disabled"}
    assert "dagster/isolation" not in sales.defs.resolve_job_def("refresh_sales").tags


def test_sensor_requests_each_newest_batch_once(
    sales: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sales.feed, "newest_batch", lambda: 41)
    first = sales.new_batch(build_sensor_context(cursor="40"))
    assert isinstance(first, SensorResult)
    (request,) = first.run_requests or ()
    assert request.run_key == first.cursor == "41"
    assert request.run_config["ops"]["unpaid_orders"]["config"]["batch"] == 41

    again = sales.new_batch(build_sensor_context(cursor=first.cursor))
    assert isinstance(again, SkipReason)


def test_schedule_reads_the_batch_of_its_scheduled_time(sales: ModuleType) -> None:
    at = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
    request = sales.every_morning(build_schedule_context(scheduled_execution_time=at))

    assert isinstance(request, RunRequest)
    batch = request.run_config["ops"]["orders"]["config"]["batch"]
    assert batch == at.timestamp() // 900


def test_nothing_starts_by_itself(sales: ModuleType) -> None:
    assert sales.new_batch.default_status is DefaultSensorStatus.STOPPED
    assert sales.every_morning.default_status is DefaultScheduleStatus.STOPPED
