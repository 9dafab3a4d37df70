"""The worker where it executes nothing; test_isolated_runs.py has it in real tasks."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRunStatus

from run_isolation import Instance, aws, claim, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.worker import Exit, Worker
from run_isolation.default_instance import COORDINATOR
from run_isolation.instance import OWN_VERSION, VERSION
from run_isolation.slots.decision import Kind
from run_isolation.table import TABLE as TABLE_VARIABLE
from tests.runtime.dagster.account import CALLER, TABLE, Stack
from tests.runtime.dagster.conftest import PROBE
from tests.runtime.dagster.launches import Launches

MINE, OTHER = "arn:aws:ecs:us-east-1:1:task/c/mine", "arn:aws:ecs:us-east-1:1:task/c/other"


@pytest.fixture(autouse=True)
def as_an_isolated_task(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker here has the rights of its task, not those of a launcher."""
    session = stack.account.session(stack.roles[Kind.ISOLATED], CALLER)
    own = {TABLE_VARIABLE: TABLE, VERSION: stack.instance.version}
    for name, value in {**session, **own}.items():
        monkeypatch.setenv(name, value)


def work(run_id: str, attempt: int = 1) -> tuple[Exit, str]:
    return Worker(Deployment(), run_id, attempt, MINE).work()


def test_a_run_that_another_task_has_claimed_is_not_touched(
    launches: Launches, stack: Stack
) -> None:
    run = launches.create()
    claim(stack.slots.client, TABLE, run.run_id, 1, OTHER)
    code, what_happened = work(run.run_id)
    assert code is Exit.NOT_MINE
    assert OTHER in what_happened
    assert run_record.read(launches.read(run)) == run_record.RunTags()


def test_without_a_claim_nothing_is_touched(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(aws.DEADLINES, "dynamodb", aws.Deadline(0.5, 0.5, attempts=1))
    monkeypatch.setattr(Worker._claim.retry, "stop", lambda state: True)
    stack.account.fault("lost_request", service="dynamodb", times=None)
    run = launches.create()
    code, what_happened = work(run.run_id)
    assert code is Exit.NOT_CLAIMED
    assert TABLE in what_happened
    assert run_record.read(launches.read(run)) == run_record.RunTags()


def test_the_claim_is_tried_again_while_the_table_does_not_answer(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(aws.DEADLINES, "dynamodb", aws.Deadline(0.5, 0.5, attempts=1))
    stack.account.fault("lost_request", service="dynamodb", operation="PutItem", times=1)
    assert work("deleted")[0] is Exit.NOT_MINE
    assert stack.account.calls().count("PutItem") == 2


def test_a_deleted_run_is_not_executed(launches: Launches) -> None:
    assert work("deleted") == (Exit.NOT_MINE, "Run deleted is deleted.")


def test_a_run_that_has_ended_is_not_executed_again(launches: Launches) -> None:
    run = launches.create()
    launches.instance.report_run_failed(run)
    assert work(run.run_id)[0] is Exit.DONE
    assert launches.read(run).status is DagsterRunStatus.FAILURE


def test_a_run_that_was_canceled_meanwhile_ends_canceled(launches: Launches) -> None:
    run = launches.create()
    launches.instance.report_run_canceling(run)
    assert work(run.run_id)[0] is Exit.DONE
    assert launches.read(run).status is DagsterRunStatus.CANCELED


def test_a_run_that_goes_on_in_another_task_is_not_executed_by_a_later_attempt(
    launches: Launches, stack: Stack
) -> None:
    """The claim goes to the newest attempt: it can't tell whether the one before is alive."""
    run = launches.started(launches.starting(launches.create()))
    run_record.write(launches.instance, run, kind=Kind.ISOLATED, attempt=1, task_arn=OTHER)
    claim(stack.slots.client, TABLE, run.run_id, 1, OTHER)
    code, what_happened = work(run.run_id, attempt=2)
    assert code is Exit.NOT_MINE
    assert "has begun in another task" in what_happened
    assert run_record.read(launches.read(run)).task_arn == OTHER


ENDS: dict[str, tuple[Callable[..., Any], DagsterRunStatus]] = {
    "canceled": (DagsterInstance.report_run_canceling, DagsterRunStatus.CANCELED),
    "failed by the start timeout": (DagsterInstance.report_run_failed, DagsterRunStatus.FAILURE),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_run_that_is_ended_just_before_its_start_is_not_executed(
    launches: Launches, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Dagster's last look at a run is a while before the event that starts it."""
    report, wanted = ENDS[end]
    run = launches.starting(launches.create())
    start = DagsterEvent.job_start

    def late(context: Any) -> DagsterEvent:
        report(launches.instance, launches.read(run))
        return start(context)

    monkeypatch.setattr(DagsterEvent, "job_start", late)
    monkeypatch.syspath_prepend(PROBE)
    code, what_happened = work(run.run_id)
    assert (code, what_happened.partition(" was ")[2]) == (
        Exit.DONE,
        "ended before its code began.",
    )
    assert launches.read(run).status is wanted
    assert not launches.instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_START)


@pytest.mark.parametrize("image_home", ["/nowhere", None])
def test_it_opens_the_instance_of_the_deployment(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch, image_home: str | None
) -> None:
    """One call for the claim and one for the instance: the manifest is not read."""
    run = launches.create()
    launches.instance.report_run_failed(run)
    if image_home is None:
        monkeypatch.delenv("DAGSTER_HOME")
    else:
        monkeypatch.setenv("DAGSTER_HOME", image_home)
    stack.account.forget()
    assert work(run.run_id) == (Exit.DONE, f"Run {run.run_id} had ended before this task began.")
    assert stack.account.calls() == ["PutItem", "GetItem"]


def test_a_version_that_is_gone_is_replaced_by_the_newest(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches.create()
    launches.instance.report_run_failed(run)
    monkeypatch.setenv(VERSION, "gone")
    assert work(run.run_id)[0] is Exit.DONE
    assert os.environ[VERSION] == stack.instance.version


def published(stack: Stack, **more: Any) -> Instance:
    """Another version of the instance."""
    queue = {**COORDINATOR, "config": {"max_concurrent_runs": {"env": "MOST_RUNS"}}}
    yaml = stack.instance.dagster_yaml | {"run_coordinator": queue}
    instance = Instance(dagster_yaml=yaml, **more)
    stack.account.client("dynamodb").put_item(TableName=TABLE, Item=instance.to_item())
    return instance


def test_variables_of_the_instance_that_the_task_definition_has_not(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest names them, and the run's own task definition is older."""
    monkeypatch.setenv("MOST_RUNS", "0")
    monkeypatch.delenv("MOST_RUNS")
    monkeypatch.setenv(OWN_VERSION, stack.instance.version)
    run = launches.create()
    launches.instance.report_run_failed(run)
    newest = published(stack, secrets={"MOST_RUNS": "arn"})
    monkeypatch.setenv(VERSION, newest.version)
    assert work(run.run_id)[0] is Exit.DONE
    assert os.environ[VERSION] == stack.instance.version

    newest = published(stack, env={"MOST_RUNS": "3"})
    monkeypatch.setenv(VERSION, newest.version)
    assert work(run.run_id, attempt=2)[0] is Exit.DONE
    assert (os.environ[VERSION], os.environ["MOST_RUNS"]) == (newest.version, "3")


def test_a_run_of_an_older_task_definition_has_the_newest_values_too(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches.create()
    launches.instance.report_run_failed(run)
    older = published(stack, env={"MOST_RUNS": "2", "ZONE": "a", "GONE": "1"})
    newest = published(stack, env={"MOST_RUNS": "3", "ZONE": "b"})
    monkeypatch.setenv(OWN_VERSION, older.version)
    monkeypatch.setenv(VERSION, newest.version)
    monkeypatch.setenv("MOST_RUNS", "2")  # as ECS has it from the older version
    monkeypatch.setenv("ZONE", "the location's own")
    assert work(run.run_id)[0] is Exit.DONE
    assert (os.environ["MOST_RUNS"], os.environ["ZONE"]) == ("3", "the location's own")


def test_an_instance_that_this_dagster_does_not_take_leaves_the_run_untouched(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = Instance(dagster_yaml=stack.instance.dagster_yaml | {"python_logs": {"colour": "blue"}})
    stack.account.client("dynamodb").put_item(TableName=TABLE, Item=odd.to_item())
    monkeypatch.setenv(VERSION, odd.version)
    run = launches.create()
    code, what_happened = work(run.run_id)
    assert code is Exit.NO_INSTANCE
    assert "does not know python_logs.colour" in what_happened
    assert run_record.read(launches.read(run)) == run_record.RunTags()


def test_the_run_names_the_version_that_it_used(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches.starting(launches.create())
    monkeypatch.syspath_prepend(PROBE)
    assert work(run.run_id)[0] is Exit.DONE
    assert launches.read(run).tags[tag_names.INSTANCE] == stack.instance.version


def test_the_images_own_dagster_yaml_is_not_used_and_a_line_says_so(
    launches: Launches,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = launches.create()
    launches.instance.report_run_failed(run)
    (tmp_path / "dagster.yaml").write_text("storage: {sqlite: {base_dir: /elsewhere}}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert work(run.run_id)[0] is Exit.DONE
    assert f"{tmp_path}/dagster.yaml of the image is not used" in caplog.text
