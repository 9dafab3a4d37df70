"""Values that the default I/O manager hands from step to step and from run to run."""

from pathlib import Path

from dagster import AssetIn, AssetsDefinition, Config, asset, job, op


@op
def give() -> list[int]:
    """Give a value to `take`, by the default I/O manager."""
    return [1, 2, 3]


@op
def take(given: list[int]) -> None:
    """Take the value of `give`."""
    assert given == [1, 2, 3]


@job
def hand_over_job() -> None:
    """A step hands a value to another one."""
    take(give())


class Until(Config):
    """When `take_in_time` stops failing.

    Attributes:
        exists: File that has to be there.
    """

    exists: str


@op
def take_in_time(config: Until, given: list[int]) -> None:
    """Take the value of `give`, and fail while it is too early."""
    assert given == [1, 2, 3]
    if not Path(config.exists).exists():
        raise RuntimeError("probe: it is too early")


@job
def too_early_job() -> None:
    """A run that fails after a step of it has handed over a value; it can be retried."""
    take_in_time(give())


class Handed(Config):
    """What is handed from one asset to another.

    Attributes:
        number: Another one each time, so that an older value is noticed.
    """

    number: int


def make(name: str) -> AssetsDefinition:
    """An asset that hands over a number."""

    @asset(name=name, group_name="handed_over")
    def made(config: Handed) -> int:
        return config.number

    return made


def double(name: str, of: str) -> AssetsDefinition:
    """An asset made of another one's number; another run, and code location, may have made that."""

    @asset(name=name, group_name="handed_over", ins={"numbers": AssetIn(of)})
    def doubled(config: Handed, numbers: int) -> int:
        assert numbers == config.number
        return numbers * 2

    return doubled
