"""The worker where it executes nothing; test_isolated_runs.py has it in real tasks."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
)
from dagster_postgres.utils import DagsterPostgresException

from run_isolation import Instance, aws, claim, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.worker import Exit, Worker
from run_isolation.default_instance import COORDINATOR
from run_isolation.errors import TaskMetadataError
from run_isolation.instance import OWN_VERSION, VERSION
from run_isolation.isolated import stop_reasons
from run_isolation.slots.decision import Kind
from run_isolation.table import TABLE as TABLE_VARIABLE
from run_isolation.tasks import TaskState
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
    return Worker(Deployment(), run_id, attempt, lambda: MINE).work()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries once."""
    monkeypatch.setattr(Worker._get_ready.retry, "stop", lambda state: True)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again without a pause."""
    monkeypatch.setattr(Worker._get_ready.retry, "sleep", lambda seconds: None)


def test_a_run_that_another_task_has_claimed_is_not_touched(
    launches: Launches, stack: Stack
) -> None:
    run = launches.create()
    claim(stack.slots.client, TABLE, run.run_id, 1, OTHER)
    code, what_happened = work(run.run_id)
    assert code is Exit.NOT_MINE
    assert OTHER in what_happened
    assert run_record.read(launches.read(run)) == run_record.RunTags()


@pytest.mark.usefixtures("impatient")
def test_without_a_claim_nothing_is_touched(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(aws.DEADLINES, "dynamodb", aws.Deadline(0.5, 0.5, attempts=1))
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


class Late:
    """Fails twice as a service does that is not there yet, then does what it should."""

    def __init__(self, trouble: Exception, do: Callable[..., Any]) -> None:
        self._troubles = iter((trouble, trouble))
        self._do = do

    def __call__(self, *args: Any) -> Any:
        for trouble in self._troubles:
            raise trouble
        return self._do(*args)


def no_database() -> Exception:
    """As Dagster's Postgres storage has it."""
    error = DagsterPostgresException("too many retries for DB connection")
    error.__cause__ = psycopg2.OperationalError("FATAL:  the database system is starting up")
    return error


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("late", ["metadata endpoint", "database", "manifest"])
def test_the_worker_gets_ready_when_what_it_needs_comes_late(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    task_arn: Callable[[], str] = lambda: MINE  # noqa: E731  # replaced below
    if late == "metadata endpoint":
        task_arn = Late(TaskMetadataError("http://x/task", "503."), task_arn)
    elif late == "database":
        monkeypatch.setattr(DagsterInstance, "get", Late(no_database(), DagsterInstance.get))
    else:
        # Of a task definition that says no version of the instance, as those before 0.1.0.
        monkeypatch.delenv(VERSION)
        stack.account.fault("error", service="ssm", code="ThrottlingException", times=5)
    run = launches.create()
    launches.instance.report_run_failed(run)
    code, what_happened = Worker(Deployment(), run.run_id, 1, task_arn).work()
    assert (code, what_happened.partition(" had ")[2]) == (
        Exit.DONE,
        "ended before this task began.",
    )


@pytest.mark.usefixtures("impatient")
def test_what_does_not_come_in_time_leaves_the_run_to_another_task(
    launches: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches.starting(launches.create())
    with monkeypatch.context() as patch:
        patch.setattr(DagsterInstance, "get", Late(no_database(), DagsterInstance.get))
        code, what_happened = work(run.run_id)
    assert code is Exit.NOT_CLAIMED
    assert stop_reasons.passes_by_itself(TaskState(MINE, "STOPPED", exit_code=code))
    assert "the database system is starting up" in what_happened
    assert launches.read(run).status is DagsterRunStatus.STARTING


def test_a_mistake_of_the_program_ends_the_task_at_once(
    launches: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late(KeyError("colour"), DagsterInstance.get)
    monkeypatch.setattr(DagsterInstance, "get", late)
    with pytest.raises(KeyError):
        work(launches.create().run_id)


def test_a_worker_that_is_quicker_than_its_launcher_waits_until_the_run_is_launched(
    launches: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that waits for capacity is QUEUED until its launcher has noted the task."""
    run = launches.submit(launches.create())
    assert run.status is DagsterRunStatus.QUEUED

    def note(seconds: float) -> None:
        launches.starting(run)
        launches.instance.report_run_canceling(run)

    monkeypatch.setattr(Worker._get_ready.retry, "sleep", note)
    assert work(run.run_id) == (
        Exit.DONE,
        f"Run {run.run_id} was canceled before it began.",
    )


def test_a_run_is_executed_without_the_manifest(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a task needs is in its task definition and its overrides: no throttle fails it."""
    stack.account.fault("error", service="ssm", code="ThrottlingException", times=None)
    run = launches.starting(launches.create())
    monkeypatch.syspath_prepend(PROBE)
    assert work(run.run_id)[0] is Exit.DONE
    assert launches.read(run).status is DagsterRunStatus.SUCCESS
    assert "GetParameter" not in stack.account.calls()


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


def before_the_start(patch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Dagster's last look at a run is a while before the event that starts it."""
    start = DagsterEvent.job_start

    def late(context: Any) -> DagsterEvent:
        act()
        return start(context)

    patch.setattr(DagsterEvent, "job_start", late)
    patch.syspath_prepend(PROBE)


def succeed(instance: DagsterInstance, run: DagsterRun) -> None:
    event = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name)
    instance.report_dagster_event(event, run_id=run.run_id)


ENDS: dict[str, tuple[Callable[..., Any], DagsterRunStatus]] = {
    "canceled": (DagsterInstance.report_run_canceling, DagsterRunStatus.CANCELED),
    "failed by the start timeout": (DagsterInstance.report_run_failed, DagsterRunStatus.FAILURE),
    "executed by another task": (succeed, DagsterRunStatus.SUCCESS),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_run_that_is_ended_just_before_its_start_is_not_executed(
    launches: Launches, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    report, wanted = ENDS[end]
    run = launches.starting(launches.create())
    before_the_start(monkeypatch, lambda: report(launches.instance, launches.read(run)))
    code, what_happened = work(run.run_id)
    assert (code, what_happened.partition(" was ")[2]) == (
        Exit.DONE,
        "ended before its code began.",
    )
    assert launches.read(run).status is wanted
    assert not launches.instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_START)


def test_a_task_that_was_given_up_while_it_imported_the_code_executes_nothing(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches.starting(launches.create())
    before_the_start(
        monkeypatch, lambda: claim(stack.slots.client, TABLE, run.run_id, attempt=2, task_arn=OTHER)
    )
    code, what_happened = work(run.run_id, attempt=1)
    assert code is Exit.NOT_MINE
    assert OTHER in what_happened
    assert launches.read(run).status is DagsterRunStatus.STARTED
    assert not launches.instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_START)


def test_a_table_that_does_not_answer_at_the_start_fails_no_run(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launches.starting(launches.create())
    throttle = {"operation": "PutItem", "code": "ThrottlingException", "times": None}
    before_the_start(monkeypatch, lambda: stack.account.fault("error", **throttle))
    assert work(run.run_id)[0] is Exit.DONE
    assert launches.read(run).status is DagsterRunStatus.SUCCESS


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
