"""Where an output of another container is missed, one error says why and what mends it."""

from pathlib import Path

import pytest
import yaml
from dagster import (
    AssetExecutionContext,
    AssetIn,
    DagsterEventType,
    DagsterInstance,
    FilesystemIOManager,
    StaticPartitionsDefinition,
    asset,
    execute_job,
    materialize,
    reconstructable,
)

from run_isolation.default_instance import container_storage
from run_isolation.errors import OutputMissingError
from tests.locations.probe.probe.definitions import defs


def home(directory: Path) -> Path:
    """A container's Dagster home."""
    directory.mkdir()
    config = {
        "local_artifact_storage": container_storage(str(directory)),
        "telemetry": {"enabled": False},
    }
    (directory / "dagster.yaml").write_text(yaml.safe_dump(config))
    return directory


@asset
def numbers() -> int:
    return 1


@asset
def doubled(numbers: int) -> int:
    return numbers * 2


def test_it_is_said_why_there_is_no_file(tmp_path: Path) -> None:
    resources = {"io_manager": FilesystemIOManager()}
    with DagsterInstance.from_config(str(home(tmp_path / "one"))) as one:
        materialize([numbers], instance=one, resources=resources)
        assert materialize(
            [numbers, doubled], selection=[doubled], instance=one, resources=resources
        ).success
    with (
        DagsterInstance.from_config(str(home(tmp_path / "other"))) as other,
        pytest.raises(OutputMissingError) as raised,
    ):
        materialize([numbers, doubled], selection=[doubled], instance=other, resources=resources)
    assert str(raised.value) == (
        f"Asset numbers: this container has no file {tmp_path / 'other' / 'storage' / 'numbers'}. "
        "Outputs stay in the container that kept them, unless `instance.io` in the stack config "
        "has them kept on S3. Materialize it, and launch this run again."
    )


def test_a_partition_may_be_missing_where_the_input_says_so(tmp_path: Path) -> None:
    @asset(partitions_def=StaticPartitionsDefinition(["a", "b"]))
    def letter(context: AssetExecutionContext) -> str:
        return str(context.partition_key)

    @asset(ins={"letter": AssetIn(metadata={"allow_missing_partitions": True})})
    def letters(letter: dict[str, str]) -> list[str]:
        return list(letter)

    resources = {"io_manager": FilesystemIOManager()}
    with DagsterInstance.from_config(str(home(tmp_path / "one"))) as one:
        materialize([letter], instance=one, resources=resources, partition_key="a")
        found = materialize(
            [letter, letters], selection=[letters], instance=one, resources=resources
        )
    assert found.output_for_node("letters") == ["a"]


def doubled_job():  # type: ignore[no-untyped-def]  # for reconstructable
    return defs.get_job_def("doubled_job")


def test_spawned_steps_say_so_too(tmp_path: Path) -> None:
    """With Dagster's own default I/O manager and default executor."""
    with DagsterInstance.from_config(str(home(tmp_path / "home"))) as instance:
        result = execute_job(
            reconstructable(doubled_job),
            instance=instance,
            run_config={"ops": {"doubled": {"config": {"number": 1}}}},
        )
        records = instance.all_logs(result.run_id, of_type=DagsterEventType.STEP_FAILURE)
    [failure] = [str(record.dagster_event) for record in records]
    assert "instance.io" in failure
