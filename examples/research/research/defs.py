"""Dagster definitions of the research location. Module name: `research.defs`.

`simulation` is the heavy asset: by default one CPU for a minute and 2 GiB of memory, which the
standing container (0.25 vCPU, 1 GiB) does not have. Isolated, it has a task of its own.

As in the sales location, values go through Dagster's default I/O manager.
"""

from dagster import (
    AssetExecutionContext,
    AssetKey,
    Config,
    Definitions,
    EventLogEntry,
    OpExecutionContext,
    RunRequest,
    ScheduleDefinition,
    SensorEvaluationContext,
    asset,
    asset_sensor,
    define_asset_job,
    job,
    op,
)

from research import simulate


class SimulationConfig(Config):
    """How heavy the simulation is.

    Attributes:
        seconds: Wall time to compute for, in seconds, on one CPU.
        memory_mib: Memory to hold meanwhile, in MiB.
        seed: Start of the random numbers.
    """

    seconds: float = 60.0
    memory_mib: int = 2048
    seed: int = 1


@asset(group_name="research", kinds={"python"})
def simulation(context: AssetExecutionContext, config: SimulationConfig) -> float:
    """The heavy asset: estimates pi while it holds a large training set in memory."""
    held = simulate.hold_memory(config.memory_mib)
    context.log.info(f"holding {len(held) // simulate.MEBIBYTE} MiB for {config.seconds} s")
    pi, darts = simulate.estimate_pi(config.seconds, config.seed)
    context.add_output_metadata({"pi": pi, "darts": darts, "memory_mib": config.memory_mib})
    return pi


@asset(group_name="research")
def model_quality(context: AssetExecutionContext, simulation: float) -> float:
    """How far the simulation is from the truth."""
    error = abs(simulation - 3.141592653589793)
    context.add_output_metadata({"error": error})
    return error


train_model = define_asset_job(
    "train_model",
    selection=[simulation, model_quality],
    description="The simulation and its quality, with the location's full isolated size.",
)


@op
def strategies() -> list[int]:
    """Return the seeds to try."""
    return [1, 2, 3]


@op
def best_strategy(
    context: OpExecutionContext, config: SimulationConfig, seeds: list[int]
) -> tuple[int, float]:
    """Return the seed whose estimate is nearest to pi, and its distance."""
    share = config.seconds / len(seeds)
    errors = {seed: abs(simulate.estimate_pi(share, seed)[0] - 3.141592653589793) for seed in seeds}
    best = min(errors, key=errors.__getitem__)
    context.log.info(f"seed {best} is off by {errors[best]:.5f}")
    return best, errors[best]


# A run may ask for another size than its location's: 2 vCPU (2048 CPU units) and 4096 MiB here.
# Both values together must be a size that Fargate sells:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
@job(
    tags={"ecs/cpu": "2048", "ecs/memory": "4096"},
    description="Tries three strategies, in an isolated task half the default size.",
)
def backtest() -> None:
    """Try the strategies and keep the best."""
    best_strategy(strategies())


@asset_sensor(asset_key=AssetKey("revenue_by_country"), job=train_model)
def sales_changed(context: SensorEvaluationContext, asset_event: EventLogEntry) -> RunRequest:
    """Train again when the sales location has new revenue. Stopped until someone starts it."""
    return RunRequest(run_key=context.cursor, tags={"trained_for_run": asset_event.run_id})


nightly_backtest = ScheduleDefinition(
    name="nightly_backtest", job=backtest, cron_schedule="0 2 * * *", execution_timezone="UTC"
)

defs = Definitions(
    assets=[simulation, model_quality],
    jobs=[train_model, backtest],
    sensors=[sales_changed],
    schedules=[nightly_backtest],
)
