"""Whether the inputs of a retry can be read in another container, as I/O managers have told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from dagster import (
    DagsterInstance,
    DagsterRun,
    DynamicOut,
    DynamicOutput,
    FilesystemIOManager,
    In,
    IOManager,
    JobDefinition,
    MetadataValue,
    Nothing,
    ReexecutionOptions,
    execute_job,
    fs_io_manager,
    job,
    op,
    reconstructable,
)

from run_isolation import outputs
from run_isolation.dagster import outputs as on_s3
from run_isolation.dagster.memory.inputs import kept_in_container
from tests.runtime.dagster.memory.bucket import Bucket


class Own(IOManager):
    """One of the user's own, in memory."""

    kept: Any = None

    def handle_output(self, context: Any, obj: Any) -> None:
        Own.kept = obj
        context.add_output_metadata({"table": "orders"})

    def load_input(self, context: Any) -> Any:
        return Own.kept


class OnLake(Own):
    """One that names a path with a scheme."""

    def handle_output(self, context: Any, obj: Any) -> None:
        super().handle_output(context, obj)
        context.add_output_metadata({"path": MetadataValue.path("s3://lake/orders")})


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield instance


@pytest.fixture(autouse=True)
def bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(outputs.PLACE, "s3://bucket/prod")
    monkeypatch.setattr(on_s3, "_client", on_s3._Client(cast(Any, Bucket())))


@op
def give() -> int:
    return 1


@op
def give_none():  # type: ignore[no-untyped-def]  # so it has an output
    pass


@op
def fail(given: Any) -> None:
    raise RuntimeError("out of memory")


@op(ins={"after": In(Nothing)})
def fail_after() -> None:
    raise RuntimeError("out of memory")


def failed(instance: DagsterInstance, made: JobDefinition, **more: Any) -> DagsterRun:
    run_id = made.execute_in_process(instance=instance, raise_on_error=False, **more).run_id
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def of(manager: Any) -> JobDefinition:
    @job(resource_defs={"io_manager": manager})
    def hands_over() -> None:
        fail(give())

    return hands_over


@pytest.mark.parametrize("manager", [FilesystemIOManager(), fs_io_manager])
def test_a_file_stays(instance: DagsterInstance, manager: Any, tmp_path: Path) -> None:
    found = kept_in_container(instance, failed(instance, of(manager)))
    assert found is not None
    assert found.startswith(f"output result of step give is at {tmp_path}")


@pytest.mark.parametrize("manager", [on_s3.io_manager, Own(), OnLake()], ids=["S3", "own", "lake"])
def test_what_is_elsewhere_does_not(instance: DagsterInstance, manager: Any) -> None:
    assert kept_in_container(instance, failed(instance, of(manager))) is None


@pytest.mark.parametrize(("manager", "stays"), [(fs_io_manager, True), (on_s3.io_manager, False)])
def test_a_none_is_a_value_too(instance: DagsterInstance, manager: Any, stays: bool) -> None:
    @job(resource_defs={"io_manager": manager})
    def hands_none_over() -> None:
        fail(give_none())

    found = kept_in_container(instance, failed(instance, hands_none_over))
    assert (found is not None) is stays


def test_an_order_takes_no_value(instance: DagsterInstance) -> None:
    @job(resource_defs={"io_manager": fs_io_manager})
    def ordered() -> None:
        fail_after(give())

    assert kept_in_container(instance, failed(instance, ordered)) is None


def test_what_no_remaining_step_takes_may_stay(instance: DagsterInstance) -> None:
    @op
    def take(given: int) -> None:
        pass

    @job(resource_defs={"io_manager": fs_io_manager})
    def apart() -> None:
        take(give())
        fail_after()

    assert kept_in_container(instance, failed(instance, apart)) is None


def test_of_mapped_steps_those_that_finished_count(instance: DagsterInstance) -> None:
    @op(out=DynamicOut(io_manager_key="elsewhere"))
    def many() -> Any:
        for name in ("good", "bad"):
            yield DynamicOutput(name, name)

    @op
    def each(name: str) -> str:
        if name == "bad":
            raise RuntimeError("out of memory")
        return name

    @op
    def collect(names: list[str]) -> None:
        pass

    @job(resource_defs={"io_manager": fs_io_manager, "elsewhere": on_s3.io_manager})
    def mapped() -> None:
        collect(many().map(each).collect())

    found = kept_in_container(instance, failed(instance, mapped))
    assert found is not None
    assert found.startswith("output result of step each[good] is at")


def of_files() -> JobDefinition:
    return of(fs_io_manager)


def test_what_a_run_before_has_kept_counts(instance: DagsterInstance) -> None:
    """The run that is executed again was a retry from failure itself."""
    first = failed(instance, of_files())
    options = ReexecutionOptions.from_failure(first.run_id, instance)
    again = execute_job(
        reconstructable(of_files),
        instance,
        run_config={"execution": {"config": {"in_process": {}}}},
        reexecution_options=options,
    )
    retry = instance.get_run_by_id(again.run_id)
    assert retry is not None
    assert retry.step_keys_to_execute == ["fail"]
    found = kept_in_container(instance, retry)
    assert found is not None
    assert "step give" in found
