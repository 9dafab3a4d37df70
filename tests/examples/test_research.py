from types import ModuleType

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    DefaultScheduleStatus,
    DefaultSensorStatus,
    build_schedule_context,
    build_sensor_context,
)

from tests.examples.locations import Load, MaterializeAlone

STANDING_MIB = 1024
LIGHT = {"seconds": 0.02, "memory_mib": 8}


@pytest.fixture
def research(load: Load) -> ModuleType:
    return load("examples/research", "research.defs")


def test_assets_hand_data_from_run_to_run_by_the_default_io_manager(
    research: ModuleType, materialize_alone: MaterializeAlone
) -> None:
    simulation = materialize_alone(research.defs, "simulation", **LIGHT)
    quality = materialize_alone(research.defs, "model_quality")

    assert simulation["pi"] == pytest.approx(3.14, abs=0.1)
    assert simulation["memory_mib"] == 8
    assert quality["error"] == pytest.approx(abs(simulation["pi"] - 3.14159265), abs=1e-6)


def test_assets_still_depend_on_each_other(research: ModuleType) -> None:
    graph = research.defs.resolve_asset_graph()
    assert graph.get(AssetKey("model_quality")).parent_keys == {AssetKey("simulation")}


def test_by_default_the_heavy_asset_does_not_fit_the_standing_container(
    research: ModuleType,
) -> None:
    default = research.SimulationConfig()
    assert default.memory_mib > STANDING_MIB
    assert default.seconds >= 30


def test_held_memory_is_written_not_only_reserved(research: ModuleType) -> None:
    held = research.simulate.hold_memory(2)
    assert len(held) == held.count(1) == 2 * 1024 * 1024


def test_asset_job_runs_small(research: ModuleType, instance: DagsterInstance) -> None:
    job = research.defs.resolve_job_def("train_model")
    result = job.execute_in_process(
        run_config={"ops": {"simulation": {"config": LIGHT}}}, instance=instance
    )
    materialized = {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}
    assert materialized == {"simulation", "model_quality"}


def test_op_job_keeps_the_strategy_with_the_least_error(
    research: ModuleType, instance: DagsterInstance
) -> None:
    result = research.backtest.execute_in_process(
        run_config={"ops": {"best_strategy": {"config": LIGHT}}}, instance=instance
    )
    seed, error = result.output_for_node("best_strategy")
    assert seed in (1, 2, 3)
    assert error == pytest.approx(0, abs=0.1)


def test_op_job_asks_for_a_size_of_its_own(research: ModuleType) -> None:
    assert research.backtest.tags == {"ecs/cpu": "2048", "ecs/memory": "4096"}


def test_sensor_requests_one_run_for_each_new_sales_revenue(
    research: ModuleType, instance: DagsterInstance
) -> None:
    sensor = research.sales_changed
    repository = research.defs.get_repository_def()

    def tick(cursor: str | None) -> tuple[int, str | None]:
        with build_sensor_context(
            instance=instance, cursor=cursor, repository_def=repository
        ) as context:
            evaluated = sensor.evaluate_tick(context)
        return len(evaluated.run_requests or ()), evaluated.cursor

    assert tick(None)[0] == 0
    instance.report_runless_asset_event(AssetMaterialization("revenue_by_country"))
    requested, cursor = tick(None)
    assert requested == 1
    assert tick(cursor)[0] == 0


def test_schedule_requests_the_backtest(research: ModuleType) -> None:
    (request,) = research.nightly_backtest.evaluate_tick(build_schedule_context()).run_requests
    assert request.run_key is None
    assert research.nightly_backtest.job_name == "backtest"


def test_nothing_starts_by_itself(research: ModuleType) -> None:
    assert research.sales_changed.default_status is DefaultSensorStatus.STOPPED
    assert research.nightly_backtest.default_status is DefaultScheduleStatus.STOPPED
