"""Outputs on S3: what is kept there, who finds it again, and what is said where it is not there."""

import io
import json
import os
import pickle
import threading
from collections.abc import Mapping
from typing import Any, cast

import pytest
from botocore.exceptions import IncompleteReadError
from dagster import (
    AssetExecutionContext,
    AssetIn,
    AssetKey,
    AssetsDefinition,
    DailyPartitionsDefinition,
    DynamicOut,
    DynamicOutput,
    ExecuteInProcessResult,
    In,
    IOManagerDefinition,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    Nothing,
    StaticPartitionsDefinition,
    asset,
    job,
    materialize,
    op,
)
from dagster_aws.s3 import S3PickleIOManager, S3Resource

from localaws.account import LocalAccount
from run_isolation import outputs
from run_isolation.dagster import outputs as on_s3
from run_isolation.errors import OutputMissingError, OutputsError

BUCKET = "outputs-of-test"
PREFIX = "prod"
LETTERS = StaticPartitionsDefinition(["a", "b", "/c", "d"])


@pytest.fixture(autouse=True)
def bucket(local_environment: LocalAccount, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bucket, empty; this process is told of it as a task is."""
    client = local_environment.client("s3")
    client.create_bucket(Bucket=BUCKET)
    place = outputs.Place(BUCKET, PREFIX)
    for name, value in outputs.environment(place).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(on_s3, "_client", on_s3._Client())
    yield client
    client.delete_bucket_policy(Bucket=BUCKET)
    for key in keys(client):
        client.delete_object(Bucket=BUCKET, Key=key)


def keys(client: Any) -> list[str]:
    found = client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return [one["Key"] for one in found]


def run(*assets: Any, manager: Any = on_s3.io_manager, **more: Any) -> ExecuteInProcessResult:
    """Materializes the assets; others among them are only there to be read."""
    return materialize(list(assets), resources={"io_manager": manager}, **more)


@asset(key_prefix=["warehouse"])
def numbers() -> list[int]:
    return [1, 2, 3]


@asset(ins={"numbers": AssetIn(key=AssetKey(["warehouse", "numbers"]))})
def total(numbers: list[int]) -> int:
    return sum(numbers)


@asset(partitions_def=LETTERS)
def letter(context: AssetExecutionContext) -> str:
    return str(context.partition_key)


@asset(ins={"letter": AssetIn(metadata={"allow_missing_partitions": True})})
def word(letter: Mapping[str, str]) -> str:
    return "".join(letter[key] for key in sorted(letter))


@asset(ins={"letter": AssetIn()})
def strict_word(letter: Mapping[str, str]) -> str:
    return "".join(letter.values())


def test_an_asset_is_read_by_another_run(bucket: Any) -> None:
    materialized = run(numbers)
    assert keys(bucket) == ["prod/warehouse/numbers"]
    [handled] = materialized.filter_events(lambda event: event.is_handled_output)
    uri = cast(Any, handled.event_specific_data).metadata["uri"]
    assert uri.value == f"s3://{BUCKET}/prod/warehouse/numbers"
    assert run(numbers, total, selection=[total]).output_for_node("total") == 6


def test_partitions_are_objects_of_their_own(bucket: Any) -> None:
    for key in ("a", "b", "/c"):
        result = run(letter, partition_key=key)
        [event] = result.filter_events(lambda event: event.is_handled_output)
        place = cast(Any, event.event_specific_data).metadata["uri"].value
        assert place.removeprefix(f"s3://{BUCKET}/") in keys(bucket)
    assert sorted(keys(bucket)) == ["prod/letter/%2Fc", "prod/letter/a", "prod/letter/b"]
    assert run(letter, word, selection=[word]).output_for_node("word") == "/cab"


def test_a_missing_partition_fails_unless_the_input_allows_it(bucket: Any) -> None:
    run(letter, partition_key="a")
    with pytest.raises(OutputMissingError) as raised:
        run(letter, strict_word, selection=[strict_word])
    assert str(raised.value) == (
        f"Asset letter, at s3://{BUCKET}/prod/letter/b: no run has kept it there. "
        "Materialize it, and launch this run again."
    )


def test_dimensions_of_partitions_are_sorted(bucket: Any) -> None:
    days = DailyPartitionsDefinition("2026-01-01")
    both = MultiPartitionsDefinition({"letter": LETTERS, "day": days})

    @asset(partitions_def=both)
    def each() -> int:
        return 1

    run(each, partition_key=MultiPartitionKey({"letter": "a", "day": "2026-01-02"}))
    assert keys(bucket) == ["prod/each/2026-01-02/a"]


def test_an_asset_may_become_partitioned(bucket: Any, tmp_path: Any, monkeypatch: Any) -> None:
    # Dagster would look for a file of that name in the working directory, and delete it.
    monkeypatch.chdir(tmp_path)
    own = tmp_path / PREFIX / "letter"
    own.parent.mkdir()
    own.write_text("the user's")

    def unpartitioned() -> str:
        return "z"

    run(asset(name="letter")(unpartitioned))
    run(letter, partition_key="a")
    assert keys(bucket) == ["prod/letter", "prod/letter/a"]
    assert own.read_text() == "the user's"


def test_nothing_is_kept_of_nothing_and_none_is_a_value(bucket: Any) -> None:
    @asset
    def unannotated():  # type: ignore[no-untyped-def]  # so it has an output
        pass

    @asset
    def after(unannotated: Any) -> str:
        return repr(unannotated)

    @asset
    def annotated() -> None:
        pass

    run(unannotated, annotated)
    assert keys(bucket) == ["prod/unannotated"]
    assert run(unannotated, after, selection=[after]).output_for_node("after") == "None"


def test_outputs_of_ops_are_a_run_s(bucket: Any) -> None:
    @op(out=DynamicOut())
    def many() -> Any:
        yield DynamicOutput(1, "one")
        yield DynamicOutput(2, "two")

    @op
    def double(number: int) -> int:
        return number * 2

    @op
    def add(given: list[int]) -> int:
        return sum(given)

    @op(ins={"after": In(Nothing)})
    def last() -> None:
        pass

    @job(resource_defs={"io_manager": on_s3.io_manager})
    def mapped() -> None:
        last(add(many().map(double).collect()))

    result = mapped.execute_in_process()
    below = f"prod/storage/{result.run_id}"
    assert result.output_for_node("add") == 6
    assert sorted(keys(bucket)) == [
        f"{below}/add/result",
        f"{below}/double--one/result",
        f"{below}/double--two/result",
        f"{below}/many/result/one",
        f"{below}/many/result/two",
    ]


@pytest.fixture
def theirs(local_environment: LocalAccount) -> IOManagerDefinition:
    """dagster-aws's, with the same bucket and prefix."""
    resource = S3Resource(region_name="us-east-1")
    manager = S3PickleIOManager(s3_resource=resource, s3_bucket=BUCKET, s3_prefix=PREFIX)
    return cast(IOManagerDefinition, manager)


def test_a_location_may_go_over_to_dagster_s_and_back(
    bucket: Any, theirs: IOManagerDefinition
) -> None:
    for writes, reads in ((on_s3.io_manager, theirs), (theirs, on_s3.io_manager)):
        run(numbers, manager=writes)
        run(letter, manager=writes, partition_key="a")
        run(letter, manager=writes, partition_key="b")
        assert run(numbers, total, selection=[total], manager=reads).output_for_node("total") == 6
        found = run(letter, word, selection=[word], manager=reads).output_for_node("word")
        assert found == "ab"
        for key in keys(bucket):
            bucket.delete_object(Bucket=BUCKET, Key=key)


def test_a_large_output_is_sent_in_parts(bucket: Any, local_account: LocalAccount) -> None:
    large = os.urandom(on_s3.IN_MEMORY_BYTES + 1)

    @asset
    def blob() -> bytes:
        return large

    @asset
    def size(blob: bytes) -> bool:
        return blob == large

    run(blob)
    sent = [call.operation for call in local_account.calls.all("s3") if "blob" in call.operation]
    path = f"/{BUCKET}/prod/blob"
    begin_and_complete, parts = [f"POST {path}"], [f"PUT {path}"] * 2
    assert sent == [*begin_and_complete, *parts, *begin_and_complete]
    assert run(blob, size, selection=[size]).output_for_node("size") is True


def failing(*assets: AssetsDefinition, selection: Any = None) -> str:
    with pytest.raises(OutputsError) as raised:
        run(*assets, selection=selection)
    return str(raised.value)


def test_what_nobody_has_kept(bucket: Any) -> None:
    assert failing(numbers, total, selection=[total]) == (
        f"Asset warehouse/numbers, at s3://{BUCKET}/prod/warehouse/numbers: "
        "no run has kept it there. Materialize it, and launch this run again."
    )


def test_what_can_t_be_pickled(bucket: Any) -> None:
    @asset
    def lock() -> Any:
        return threading.Lock()

    assert failing(lock) == (
        "Asset lock: it can't be pickled (cannot pickle '_thread.lock' object). "
        "Return something that can be, or give it an I/O manager of its own."
    )
    assert keys(bucket) == []


def test_a_bucket_that_is_gone(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(outputs.PLACE, "s3://no-such-bucket/prod")
    said = failing(numbers, total, selection=[total])
    assert "NoSuchBucket" in said
    assert said.endswith("Run `pulumi up`, or name a bucket that is there in `instance.io`.")
    assert "NoSuchBucket" in failing(numbers)


def test_a_role_that_may_not(bucket: Any) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    run(numbers)
    bucket.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    said = failing(numbers, total, selection=[total])
    assert "AccessDenied" in said
    assert "Allow s3:GetObject on" in said
    assert said.endswith("as `instance.io` in the stack config does for the bucket that it names.")


def test_s3_that_can_t_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert failing(numbers).endswith(
        "Check the route from this task to S3 (gateway endpoint, NAT, security group)."
    )


@pytest.mark.parametrize("given", ["", "bucket/prefix", "s3:///prefix", "https://bucket/prefix"])
def test_a_place_that_is_none(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(outputs.PLACE, given)
    with pytest.raises(OutputsError, match=f"^{outputs.PLACE}={given}: .* s3://<bucket>/<prefix>"):
        outputs.Place.from_environment()


class Breaks:
    """A client whose first answer ends too early."""

    def __init__(self) -> None:
        self.answers = 0

    def get_object(self, **_: str) -> dict[str, Any]:
        self.answers += 1
        body = pickle.dumps(6)
        return {"Body": _Broken(body) if self.answers == 1 else io.BytesIO(body)}


class _Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if not (found := super().read(2)):
            raise IncompleteReadError(actual_bytes=2, expected_bytes=5)
        return found


def test_an_answer_that_breaks_off_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_s3.S3Outputs._read.retry, "sleep", lambda _: None)
    client = Breaks()
    monkeypatch.setattr(on_s3, "_client", on_s3._Client(cast(Any, client)))
    manager = on_s3.S3Outputs(outputs.Place(BUCKET, PREFIX))
    file = io.BytesIO()
    manager._read("key", file)
    assert pickle.loads(file.getvalue()) == 6
    assert client.answers == 2


def test_a_client_is_not_used_by_two_processes() -> None:
    """One that was made before the fork is, once: by the child."""
    shared = on_s3._Client()
    shared.prepare()
    prepared = shared.made
    assert in_fork(lambda: shared.get() is prepared)
    assert shared.get() is prepared
    assert in_fork(lambda: shared.get() is not prepared)


def in_fork(question: Any) -> bool:
    """The answer of a fork of this process."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if question() else 1)
        finally:
            os._exit(2)
    return os.waitpid(pid, 0)[1] == 0


def test_no_client_is_no_error_until_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of nobody")
    on_s3.prepare()
    assert on_s3._client.made is None
