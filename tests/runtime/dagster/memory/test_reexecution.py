"""A run that was ended for memory is executed again: isolated, from failure, once."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.storage.tags import WILL_RETRY_TAG

from run_isolation import NonIsolatedRuns, outputs, tag_names
from run_isolation.dagster import outputs as on_s3
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.memory import reexecution
from run_isolation.dagster.memory.reexecution import ExecuteAgain, again_id
from run_isolation.slots.decision import Kind
from tests.locations.probe.probe.outputs import too_early_job
from tests.runtime.dagster.account import Stack
from tests.runtime.dagster.launches import NON_ISOLATED, Launches
from tests.runtime.dagster.memory.bucket import Bucket

DUE = {tag_names.OUT_OF_MEMORY: "true", tag_names.AGAIN: tag_names.DUE, tag_names.PEAK_MIB: "700"}


@pytest.fixture
def again(launches: Launches, stack: Stack) -> ExecuteAgain:
    # Automated runs are allowed: that is not why the new run is isolated.
    stack.configure(NonIsolatedRuns(enabled=True, allow_automated=True))
    workspace = SimpleNamespace(
        instance=launches.instance, create_request_context=launches.workspace
    )
    return ExecuteAgain(Deployment(), cast(Any, workspace), logging.getLogger("test"))


def ended(launches: Launches, **more: str) -> DagsterRun:
    """A non-isolated run that its server has ended for want of memory."""
    run = launches.create("steps_job", tags=NON_ISOLATED)
    run_record.write(launches.instance, run, kind=Kind.NON_ISOLATED, attempt=1)
    run = launches.started(launches.starting(run))
    launches.instance.add_run_tags(run.run_id, DUE | more)
    launches.instance.report_run_failed(run, "Ended for want of memory.")
    return launches.read(run)


def look(again: ExecuteAgain) -> list[object]:
    """One pass; the errors in it."""
    return [error for error in again.look() if error is not None]


def children(launches: Launches, run: DagsterRun) -> list[DagsterRun]:
    runs = launches.instance.get_runs()
    return [other for other in runs if other.parent_run_id == run.run_id]


def test_it_is_executed_again_isolated_once_and_both_say_so(
    launches: Launches, again: ExecuteAgain
) -> None:
    run = ended(launches)
    assert look(again) == []
    [new] = children(launches, run)
    assert new.run_id == again_id(run.run_id)
    assert new.root_run_id == run.run_id
    assert new.status is DagsterRunStatus.QUEUED
    assert run_record.read(new).kind is Kind.ISOLATED
    assert f"Run {run.run_id}, which it executes again, was ended" in new.tags[tag_names.REASON]
    # What was measured of the other run is not this one's.
    assert [new.tags[tag] for tag in DUE] == ["", "", ""]
    assert launches.read(run).tags[tag_names.AGAIN] == new.run_id
    assert any(new.run_id in text for text in launches.events(run))
    assert any(run.run_id in text for text in launches.events(new))
    assert look(again) == []
    assert len(children(launches, run)) == 1


def ended_after_a_step(launches: Launches) -> DagsterRun:
    """The same, but that a step of it has really handed a value over."""
    run = launches.create(
        "too_early_job",
        tags=NON_ISOLATED,
        run_config={
            "execution": {"config": {"in_process": {}}},
            "ops": {"take_in_time": {"config": {"exists": "/no/such/file"}}},
        },
    )
    run_record.write(launches.instance, run, kind=Kind.NON_ISOLATED, attempt=1)
    launches.instance.add_run_tags(run.run_id, DUE)
    execute_run(InMemoryJob(too_early_job), launches.read(run), launches.instance)
    return launches.read(run)


def test_it_begins_anew_where_an_input_is_on_a_container_s_disk(
    launches: Launches, again: ExecuteAgain
) -> None:
    run = ended_after_a_step(launches)
    assert run.status is DagsterRunStatus.FAILURE
    assert look(again) == []
    [new] = children(launches, run)
    assert new.step_keys_to_execute is None
    assert any("isolated and from the beginning" in text for text in launches.events(run))
    [said] = [text for text in launches.events(new) if "from the beginning" in text]
    assert f"Executes run {run.run_id} again" in said
    assert "from the beginning: output result of step give is at /" in said
    assert "instance.io" in said


def test_it_goes_on_where_its_inputs_are_on_s3(
    launches: Launches, again: ExecuteAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_s3, "_client", on_s3._Client(cast(Any, Bucket())))
    for name, value in outputs.environment(outputs.Place("bucket", "prod")).items():
        monkeypatch.setenv(name, value)
    run = ended_after_a_step(launches)
    assert look(again) == []
    [new] = children(launches, run)
    assert new.step_keys_to_execute == ["take_in_time"]
    assert any("from failure: finished steps are kept" in text for text in launches.events(new))


@pytest.mark.parametrize("dies_at", ["submit_run", "add_run_tags"])
def test_a_daemon_that_dies_in_the_middle_is_made_good(
    launches: Launches,
    again: ExecuteAgain,
    monkeypatch: pytest.MonkeyPatch,
    dies_at: str,
) -> None:
    run = ended(launches)
    method = getattr(DagsterInstance, dies_at)

    def dies(self: DagsterInstance, run_id: str, *args: Any, **kwargs: Any) -> Any:
        if dies_at == "submit_run" or run_id == run.run_id:
            raise KeyboardInterrupt
        return method(self, run_id, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(DagsterInstance, dies_at, dies)
        with pytest.raises(KeyboardInterrupt):
            look(again)
    assert launches.read(run).tags[tag_names.AGAIN] == tag_names.DUE
    assert look(again) == []
    [new] = children(launches, run)
    assert new.status is DagsterRunStatus.QUEUED
    assert launches.read(run).tags[tag_names.AGAIN] == new.run_id


def test_of_two_daemons_one_makes_the_run(
    launches: Launches, again: ExecuteAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended(launches)
    creates = reexecution._Domain.create_run

    def after_another(domain: Any, **given: Any) -> DagsterRun:
        creates(domain, **given)
        return creates(domain, **given)

    monkeypatch.setattr(reexecution._Domain, "create_run", after_another)
    assert look(again) == []
    [new] = children(launches, run)
    assert new.status is DagsterRunStatus.QUEUED


def test_where_dagster_retries_it_is_left_to_dagster(
    launches: Launches, again: ExecuteAgain
) -> None:
    run = ended(launches, **{"dagster/max_retries": "1"})
    assert run.tags[WILL_RETRY_TAG] == "true"
    assert look(again) == []
    assert children(launches, run) == []
    assert (
        launches.read(run).tags[tag_names.AGAIN] == "no: Dagster's own run retries do it, isolated"
    )


def test_where_nobody_has_decided_dagster_has_a_minute(
    launches: Launches, again: ExecuteAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that failed while retries were off, and a daemon that starts with them on."""
    with monkeypatch.context() as before:
        before.setattr(DagsterInstance, "run_retries_enabled", False)
        run = ended(launches, **{"dagster/max_retries": "1"})
    assert WILL_RETRY_TAG not in run.tags
    assert look(again) == []
    assert children(launches, run) == []
    monkeypatch.setattr(reexecution, "UNDECIDED_SECONDS", 0)
    assert look(again) == []
    [new] = children(launches, run)
    assert new.run_id == again_id(run.run_id)
    # Dagster's own retries find it decided.
    assert launches.read(run).tags[WILL_RETRY_TAG] == "false"


def test_a_person_who_was_faster_is_not_repeated(launches: Launches, again: ExecuteAgain) -> None:
    run = ended(launches)
    other = launches.create(tags={"dagster/parent_run_id": run.run_id})
    assert look(again) == []
    assert launches.read(run).tags[tag_names.AGAIN] == f"no: run {other.run_id} already does it"


def test_it_can_be_turned_off(
    launches: Launches, again: ExecuteAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended(launches)
    off = again.deployment.manifest.model_copy(update={"isolate_on_out_of_memory": False})
    monkeypatch.setattr(Deployment, "manifest", off)
    assert look(again) == []
    assert children(launches, run) == []
    assert "isolateOnOutOfMemory: false" in launches.read(run).tags[tag_names.AGAIN]


def test_a_retry_of_it_by_dagster_or_a_person_is_isolated(
    launches: Launches, again: ExecuteAgain
) -> None:
    run = ended(launches)
    retry = launches.submit(launches.create(tags=run.tags))
    assert run_record.read(retry).kind is Kind.ISOLATED
    assert run.run_id in retry.tags[tag_names.REASON]
