"""Every row of the decision table, with a real instance, workspace and code server."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.storage import tags as dagster_tags

from run_isolation import Holder, NonIsolatedRuns, aws, start_run_timers, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import SWITCH
from run_isolation.dagster.launched_by import by_hand
from run_isolation.dagster.reconciler_sources import StandingServers
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import Kind
from run_isolation.slots.item import KEY
from tests.runtime.dagster.account import LOCATION, TABLE, Stack
from tests.runtime.dagster.launches import NON_ISOLATED, Launches

OTHER_TASK = "arn:aws:ecs:us-east-1:000000000000:task/run-isolation-test/other"
AUTOMATED = {
    "schedule": {dagster_tags.SCHEDULE_NAME_TAG: "every_minute"},
    "sensor": {dagster_tags.SENSOR_NAME_TAG: "requests_a_run"},
    "backfill": {dagster_tags.BACKFILL_ID_TAG: "abc"},
    "automation condition": {dagster_tags.AUTOMATION_CONDITION_TAG: "true"},
    "retry": {dagster_tags.RETRY_NUMBER_TAG: "1"},
}


def test_the_default_is_isolated_and_calls_no_aws(launches: Launches, stack: Stack) -> None:
    run = launches.launch(tags={})
    assert run.status is DagsterRunStatus.QUEUED
    assert run.tags[tag_names.KIND] == "isolated"
    assert run.tags[tag_names.REASON] == "Isolated is the default."
    assert launches.events(run) == ["This run is isolated. Isolated is the default."]
    assert stack.account.calls() == []


def test_an_unknown_value_is_isolated_and_says_so(launches: Launches) -> None:
    run = launches.launch(tags={tag_names.ISOLATION: "off"})
    assert run.status is DagsterRunStatus.QUEUED
    assert "'off'" in run.tags[tag_names.REASON]


def test_disabled_is_isolated_and_says_so(launches: Launches, stack: Stack) -> None:
    stack.configure(NonIsolatedRuns(enabled=False))
    run = launches.launch()
    assert run.status is DagsterRunStatus.QUEUED
    assert "disabled" in run.tags[tag_names.REASON]
    assert stack.slots.holders() == ()


@pytest.mark.parametrize(("who", "their_tags"), AUTOMATED.items())
def test_automated_launches_are_isolated_and_say_so(
    launches: Launches, who: str, their_tags: dict[str, str]
) -> None:
    run = launches.submit(launches.create(tags=NON_ISOLATED | their_tags), source=None)
    assert run.status is DagsterRunStatus.QUEUED
    assert who in run.tags[tag_names.REASON]


def test_a_backfill_that_the_page_submits_itself_is_automated(launches: Launches) -> None:
    run = launches.launch(tags=NON_ISOLATED | AUTOMATED["backfill"])
    assert run.status is DagsterRunStatus.QUEUED
    assert "backfill" in run.tags[tag_names.REASON]


@pytest.mark.parametrize("who", ["schedule", "sensor", "automation condition"])
def test_an_automated_run_that_a_person_executes_again_is_by_hand(
    launches: Launches, who: str
) -> None:
    run = launches.launch(tags=NON_ISOLATED | AUTOMATED[who])
    assert run_record.read(run).kind is Kind.NON_ISOLATED
    launches.ended(run)


def test_a_launch_by_nobody_known_is_isolated(
    launches: Launches, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="run_isolation")
    run = launches.submit(launches.create(tags=NON_ISOLATED), source=None)
    assert run.status is DagsterRunStatus.QUEUED
    assert "unknown" in run.tags[tag_names.REASON]
    assert f"Run {run.run_id} is isolated. {run.tags[tag_names.REASON]}" in caplog.messages


@pytest.mark.parametrize(
    "more",
    [
        {tag_names.ECS_CPU: "2048"},
        {tag_names.ECS_MEMORY: "4096"},
        {tag_names.ECS_EPHEMERAL_STORAGE: "50"},
    ],
)
def test_a_run_that_asks_for_more_than_the_container_has_is_isolated(
    launches: Launches, more: dict[str, str]
) -> None:
    run = launches.launch(tags=NON_ISOLATED | more)
    assert run.status is DagsterRunStatus.QUEUED
    assert next(iter(more)) in run.tags[tag_names.REASON]


def test_by_hand_with_a_free_slot_is_not_isolated(launches: Launches, stack: Stack) -> None:
    run = launches.launch(config={"seconds": 0})
    # It never was in the queue: no daemon runs here.
    assert run.status is not DagsterRunStatus.QUEUED
    assert run_record.read(run).kind is Kind.NON_ISOLATED
    assert launches.events(run)[0].startswith("This run is non-isolated. ")
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS
    assert stack.tasks() == []


def test_a_job_that_needs_more_than_there_can_be_is_isolated_and_takes_no_slot(
    launches: Launches, stack: Stack
) -> None:
    ended_before(launches, {tag_names.PEAK_MIB: "1800"})
    run = launches.launch()
    assert run.status is DagsterRunStatus.QUEUED
    assert "recent runs needed up to 1800 MiB" in run.tags[tag_names.REASON]
    assert stack.slots.holders() == ()


def test_what_the_recent_runs_needed_is_told_to_the_server(launches: Launches) -> None:
    ended_before(launches, {tag_names.PEAK_MIB: "120"})
    run = launches.launch()
    assert run.tags[tag_names.KIND] == "non-isolated"
    assert run.tags[tag_names.EXPECTED_MIB] == "120"
    launches.ended(run)


def ended_before(launches: Launches, measured: dict[str, str]) -> None:
    """A run of the same job that is over."""
    run = launches.started(launches.starting(launches.create()))
    run_record.write(launches.instance, run, kind=Kind.ISOLATED)
    launches.instance.add_run_tags(run.run_id, measured)
    launches.instance.report_run_failed(launches.read(run))


def test_the_command_line_can_launch_by_hand(launches: Launches) -> None:
    with by_hand():
        run = launches.submit(launches.create(tags=NON_ISOLATED), source=None)
    assert run_record.read(run).kind is Kind.NON_ISOLATED
    launches.ended(run)


def test_allow_automated_lets_a_schedule_have_a_slot(launches: Launches, stack: Stack) -> None:
    stack.configure(NonIsolatedRuns(enabled=True, allow_automated=True))
    run = launches.submit(launches.create(tags=NON_ISOLATED | AUTOMATED["schedule"]), source=None)
    assert run_record.read(run).kind is Kind.NON_ISOLATED
    launches.ended(run)


def test_a_second_run_is_isolated_and_says_who_holds_the_slot(
    launches: Launches, stack: Stack
) -> None:
    other = launches.create()
    stack.slots.acquire(Holder(other.run_id, 1, LOCATION))
    since = stack.slots.holders()[0].since
    run = launches.launch()
    assert run.status is DagsterRunStatus.QUEUED
    assert other.run_id in run.tags[tag_names.REASON]
    assert since in run.tags[tag_names.REASON]


def test_a_code_location_s_own_limit_says_so(launches: Launches, stack: Stack) -> None:
    of_all = NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=3)
    stack.configure(of_all.model_copy(update={"location_limits": {LOCATION: 1}}))
    other = launches.create()
    stack.slots.acquire(Holder(other.run_id, 1, LOCATION))
    reason = launches.launch().tags[tag_names.REASON]
    assert reason.startswith(f"No slot of code location {LOCATION} was free: 1 of 1 held, by run ")
    assert other.run_id in reason


def test_a_malformed_holder_is_isolated_and_says_which(launches: Launches, stack: Stack) -> None:
    stack.slots.acquire(Holder("malformed", 1, LOCATION))
    stack.slots.client.update_item(
        TableName=TABLE, Key=KEY, UpdateExpression="REMOVE holders.malformed.attempt"
    )
    run = launches.launch()
    assert run.status is DagsterRunStatus.QUEUED
    assert "'malformed': it has no attempt" in run.tags[tag_names.REASON]


def test_a_holder_that_dagster_knows_to_be_over_makes_room(
    launches: Launches, stack: Stack
) -> None:
    ended = launches.create()
    launches.instance.report_run_failed(ended)
    stack.slots.acquire(Holder(ended.run_id, 1, LOCATION))
    run = launches.launch()
    assert run_record.read(run).kind is Kind.NON_ISOLATED
    assert [holder.run_id for holder in stack.slots.holders()] in ([run.run_id], [])
    launches.ended(run)


def hosted_at(launches: Launches, stack: Stack, server: ServerIdentity) -> DagsterRun:
    """A run that is over, and whose process the server may still have."""
    ended = launches.create()
    launches.instance.report_run_failed(ended)
    stack.slots.acquire(Holder(ended.run_id, 1, LOCATION))
    assert stack.slots.host(ended.run_id, 1, server)
    return ended


def test_a_run_that_is_over_is_waited_for_until_its_process_is(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ServerIdentity(OTHER_TASK, "192.0.2.1:4000")
    ended = hosted_at(launches, stack, server)
    answers = [frozenset({ended.run_id})] * 3
    monkeypatch.setattr(
        StandingServers,
        "current_runs",
        lambda self, asked: answers.pop() if answers else frozenset(),
    )
    run = launches.launch()
    assert run_record.read(run).kind is Kind.NON_ISOLATED
    assert answers == []
    launches.ended(run)


def test_a_process_that_outlives_its_run_keeps_its_slot(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ServerIdentity(OTHER_TASK, "192.0.2.1:4000")
    ended = hosted_at(launches, stack, server)
    always = frozenset({ended.run_id})
    monkeypatch.setattr(StandingServers, "current_runs", lambda self, asked: always)
    monkeypatch.setattr(start_run_timers, "ENDING_SECONDS", 0.5)
    run = launches.launch()
    assert run_record.read(run).kind is Kind.ISOLATED
    assert ended.run_id in run.tags[tag_names.REASON]


def test_a_denied_launch_does_not_wait_for_a_server_that_is_silent(
    launches: Launches, stack: Stack
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "{}:{}".format(*silent.getsockname())
        hosted_at(launches, stack, ServerIdentity(OTHER_TASK, address))
        run = launches.create(tags=NON_ISOLATED)
        began = time.monotonic()
        run = launches.submit(run)
        took = time.monotonic() - began
    assert run_record.read(run).kind is Kind.ISOLATED
    # It was ASK_SECONDS for the one answer.
    assert took < start_run_timers.ASK_SECONDS


def test_a_deleted_holder_makes_room(launches: Launches, stack: Stack) -> None:
    stack.slots.acquire(Holder("deleted", 1, LOCATION))
    run = launches.launch()
    assert run_record.read(run).kind is Kind.NON_ISOLATED
    launches.ended(run)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One try of half a second for each call to the table."""
    monkeypatch.setitem(aws.DEADLINES, "dynamodb", aws.Deadline(0.5, 0.5, attempts=1))


@pytest.mark.usefixtures("impatient")
def test_an_unreachable_table_means_isolated(launches: Launches, stack: Stack) -> None:
    stack.account.fault("lost_request", service="dynamodb", times=None)
    run = launches.launch()
    assert run.status is DagsterRunStatus.QUEUED
    assert TABLE in run.tags[tag_names.REASON]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem"])
def test_a_table_that_does_not_answer_holds_a_launch_up_for_a_known_time(
    launches: Launches, stack: Stack, operation: str
) -> None:
    stack.slots.acquire(Holder("first", 1, LOCATION))  # the map is there
    stack.slots.release("first", 1)
    stack.account.fault("delay", service="dynamodb", operation=operation, seconds=20, times=None)
    run = launches.create(tags=NON_ISOLATED)
    begin = time.monotonic()
    run = launches.submit(run)
    # Two reads of the settings, an acquire and its release; the rest is Dagster's own work.
    assert time.monotonic() - begin < 4 * aws.DEADLINES["dynamodb"].worst_seconds + 3
    assert run.status is DagsterRunStatus.QUEUED
    assert f"dynamodb:{operation}" in run.tags[tag_names.REASON]
    assert f"dynamodb:{operation}" in launches.events(run)[0]


@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem"])
def test_an_automated_launch_does_not_wait_for_a_table_that_does_not_answer(
    launches: Launches, stack: Stack, operation: str
) -> None:
    """It is made in the scheduler's thread, or the sensors': one try, and a short one."""
    stack.configure(NonIsolatedRuns(enabled=True, allow_automated=True))
    run = launches.create(tags=NON_ISOLATED | AUTOMATED["schedule"])
    stack.account.fault("delay", service="dynamodb", operation=operation, seconds=3, times=None)
    run = launches.submit(run, source=None)
    assert run.status is DagsterRunStatus.QUEUED
    assert f"dynamodb:{operation}" in run.tags[tag_names.REASON]
    assert len(stack.account.sent(operation)) == 1
    assert aws.AT_ONCE.worst_seconds < 1


def test_a_server_that_can_not_reach_the_table_starts_nothing(
    launches: Launches, stack: Stack
) -> None:
    hosting = {"UpdateExpression": "hosted_by"}
    stack.account.fault("lost_request", service="dynamodb", where=hosting, times=None)
    run = launches.launch()
    assert run.status is DagsterRunStatus.QUEUED
    assert run_record.read(run).kind is Kind.ISOLATED
    assert "Whether it holds its slot is not known" in run.tags[tag_names.REASON]
    assert stack.slots.holders() == ()


@pytest.mark.usefixtures("impatient")
def test_an_acquire_whose_answer_is_lost_keeps_no_slot(launches: Launches, stack: Stack) -> None:
    stack.slots.acquire(Holder("first", 1, LOCATION))  # the map is there
    stack.slots.release("first", 1)
    # The acquire's, not a release of an earlier test's run.
    acquires = {"UpdateExpression": "^SET"}
    stack.account.fault("lost_response", service="dynamodb", where=acquires)
    run = launches.launch()
    assert run.status is DagsterRunStatus.QUEUED
    assert stack.slots.holders() == ()


def test_inherited_tags_are_not_taken_for_the_runs_own(launches: Launches) -> None:
    parent = launches.ended(launches.launch())
    child = launches.launch(tags=dict(parent.tags) | {tag_names.ISOLATION: "enabled"})
    assert child.tags[tag_names.KIND] == "isolated"
    assert run_record.read(child) == run_record.RunTags(kind=Kind.ISOLATED, attempt=1)
    assert child.tags[tag_names.TASK_ARN] == ""


def test_switched_off_it_is_dagsters_own_coordinator(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, "1")
    run = launches.launch()
    assert run.status is DagsterRunStatus.QUEUED
    assert tag_names.KIND not in run.tags
    assert launches.events(run) == []
    assert stack.account.calls() == []


def test_switched_off_even_inherited_tags_make_no_non_isolated_run(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = launches.ended(launches.launch())
    monkeypatch.setenv(SWITCH, "1")
    child = launches.launch(tags=dict(parent.tags))
    assert child.tags[tag_names.KIND] == "non-isolated"  # the parent's
    # A cancel now must not interrupt what the parent's server is doing.
    assert run_record.read(child) == run_record.RunTags()
    child = launches.dequeue(child)
    assert run_record.read(child).kind is Kind.ISOLATED
    assert len(stack.account.sent("RunTask")) == 1
    launches.ended(child)


def test_a_failure_to_write_the_decision_gives_the_slot_back(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the database is down")

    run = launches.create(tags=NON_ISOLATED)
    monkeypatch.setattr(run_record, "write", broken)
    with pytest.raises(RuntimeError, match="database is down"):
        launches.submit(run)
    assert stack.slots.holders() == ()


class TestLimitsOfDagstersQueue:
    """Such a run goes through the queue, isolated, and says why."""

    @pytest.fixture
    def home(self, home: Path) -> Path:
        config = yaml.safe_load((home / "dagster.yaml").read_text())
        config["concurrency"] = {
            "pools": {"granularity": "run"},
            "runs": {
                "max_concurrent_runs": 1,
                "tag_concurrency_limits": [
                    {"key": "probe/group", "value": "limited", "limit": 5},
                    {
                        "key": "probe/each",
                        "value": {"applyLimitPerUniqueValue": True},
                        "limit": 5,
                    },
                ],
            },
        }
        (home / "dagster.yaml").write_text(yaml.safe_dump(config))
        return home

    def test_tag_limit(self, launches: Launches) -> None:
        run = launches.launch("limited_job")
        assert run.status is DagsterRunStatus.QUEUED
        assert "tag limit probe/group=limited" in run.tags[tag_names.REASON]

    def test_tag_limit_for_each_value(self, launches: Launches) -> None:
        run = launches.launch(tags=NON_ISOLATED | {"probe/each": "any"})
        assert "tag limit probe/each" in run.tags[tag_names.REASON]

    def test_run_granular_pool(self, launches: Launches, instance: DagsterInstance) -> None:
        instance.event_log_storage.set_concurrency_slots("probe", 5)
        run = launches.launch("pooled_job")
        assert run.status is DagsterRunStatus.QUEUED
        assert "pool probe" in run.tags[tag_names.REASON]

    def test_max_concurrent_runs_once_it_is_reached(self, launches: Launches) -> None:
        first = launches.create()
        launches.instance.report_run_canceling(first)  # an active run
        run = launches.launch()
        assert run.status is DagsterRunStatus.QUEUED
        assert "max_concurrent_runs=1" in run.tags[tag_names.REASON]

    def test_a_run_that_no_limit_names_goes_past_the_queue(self, launches: Launches) -> None:
        run = launches.launch(tags=NON_ISOLATED | {"probe/group": "other"})
        assert run_record.read(run).kind is Kind.NON_ISOLATED
        launches.ended(run)
