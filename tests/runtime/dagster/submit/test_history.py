"""What a job's last runs tell: only of this job, only what was recorded, and for these runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.dagster_run import RunRecord

from run_isolation import Size, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.submit.history import History, read_history, summarize

STANDING = Size(cpu=256, memory=1024)


def record(
    number: int = 1, *, seconds: float | None = 3, owner: str = "", **recorded: object
) -> RunRecord:
    """A run that has ended."""
    run_id = f"run-{number}"
    own: dict[str, str] = {run_record.OWNER: owner or run_id}
    own |= {key.replace("__", "/"): str(value) for key, value in recorded.items()}
    return RunRecord(
        storage_id=number,
        dagster_run=DagsterRun(job_name="refresh", run_id=run_id, tags=own),
        create_timestamp=datetime.now(UTC),
        update_timestamp=datetime.now(UTC),
        start_time=None if seconds is None else 100.0,
        end_time=None if seconds is None else 100.0 + seconds,
    )


def known(found: History) -> Mapping[str, Any]:
    return found.model_dump(exclude_none=True)


def test_nothing_where_nothing_is_known() -> None:
    assert known(summarize([], STANDING)) == {"runs": 0}
    assert known(summarize([record(seconds=None)], STANDING)) == {"runs": 1}


def test_times_alone() -> None:
    runs = [record(seconds=1), record(seconds=9), record(seconds=2)]
    assert known(summarize(runs, STANDING)) == {"runs": 3, "seconds": 2}


def test_the_highest_peak_and_whether_it_fits_beside_the_server() -> None:
    runs = [record(run_isolation__peak_mib=212.4), record(run_isolation__peak_mib=90), record()]
    assert known(summarize(runs, STANDING)) == {
        "runs": 3,
        "seconds": 3,
        "peak_mib": 212.4,
        "fits": True,
    }
    assert summarize([record(run_isolation__peak_mib=750)], STANDING).fits is True
    assert summarize([record(run_isolation__peak_mib=751)], STANDING).fits is False


def test_start_times_are_those_of_non_isolated_runs() -> None:
    runs = [
        record(run_isolation__kind="isolated", run_isolation__start_latency_seconds=64),
        record(run_isolation__kind="non-isolated", run_isolation__start_latency_seconds=0.8),
        record(run_isolation__kind="non-isolated", run_isolation__start_latency_seconds=1.2),
    ]
    assert summarize(runs, STANDING).shared_start_seconds == 1.0
    assert summarize(runs[:1], STANDING).shared_start_seconds is None


def test_what_was_recorded_for_a_parent_does_not_count() -> None:
    inherited = record(owner="run-0", run_isolation__peak_mib=900)
    assert known(summarize([inherited], STANDING)) == {"runs": 1, "seconds": 3}


@pytest.mark.parametrize("value", ["", "much"])
def test_a_value_that_is_no_number_is_unknown(value: str) -> None:
    assert summarize([record(run_isolation__peak_mib=value)], STANDING).peak_mib is None


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


def add(
    instance: DagsterInstance,
    number: int,
    *,
    job: str = "refresh",
    location: str = "sales",
    status: DagsterRunStatus = DagsterRunStatus.SUCCESS,
    assets: frozenset[AssetKey] | None = None,
) -> None:
    """A run whose peak is its number."""
    run_id = f"run-{number}"
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(
            GrpcServerCodeLocationOrigin(host="h", port=1, location_name=location), "repository"
        ),
        job,
    )
    instance.run_storage.add_run(
        DagsterRun(
            job_name=job,
            run_id=run_id,
            status=status,
            asset_selection=assets,
            remote_job_origin=origin,
            tags={run_record.OWNER: run_id, tag_names.PEAK_MIB: str(number)},
        )
    )


def test_the_last_five_of_this_job_in_this_code_location_that_have_ended(
    instance: DagsterInstance,
) -> None:
    for number in range(1, 8):
        add(instance, number)
    add(instance, 100, job="other")
    add(instance, 101, location="research")
    add(instance, 102, status=DagsterRunStatus.STARTED)
    add(instance, 103, assets=frozenset([AssetKey("a")]))
    add(instance, 8, status=DagsterRunStatus.FAILURE)
    found = read_history(instance, "sales", "refresh", [], STANDING)
    assert (found.runs, found.peak_mib) == (5, 8)


def test_of_assets_those_of_the_same_selection(instance: DagsterInstance) -> None:
    both = frozenset([AssetKey("a"), AssetKey(["b", "c"])])
    add(instance, 1, assets=both)
    add(instance, 2, assets=frozenset([AssetKey("a")]))
    asked = [AssetKey(["b", "c"]), AssetKey("a")]
    found = read_history(instance, "sales", "refresh", asked, STANDING)
    assert (found.runs, found.peak_mib) == (1, 1)


def test_what_was_ended_for_want_of_memory_does_not_fit_whatever_was_measured() -> None:
    runs = [
        record(run_isolation__peak_mib=90, run_isolation__out_of_memory="true"),
        record(2, run_isolation__peak_mib=80),
    ]
    assert summarize(runs, STANDING).fits is False
    # Of another run.
    inherited = record(owner="before", run_isolation__out_of_memory="true")
    assert summarize([inherited], STANDING).fits is None
