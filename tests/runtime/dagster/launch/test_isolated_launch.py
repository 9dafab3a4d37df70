"""Launches of isolated runs, against the faults of ECS and of those who want the run."""

from __future__ import annotations

from typing import Any

import pytest
from dagster import DagsterRun, DagsterRunStatus

from run_isolation import LaunchFailedError, LaunchTagsError, tag_names
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch.advertised import (
    RunNotLaunchableError,
    task_definition,
)
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from run_isolation.isolated.run_task import IsolatedLaunch, request
from run_isolation.slots.decision import Kind
from tests.runtime.dagster.account import LOCATION, Stack
from tests.runtime.dagster.launch.isolated import asked, publish, tasks
from tests.runtime.dagster.launches import Launches

NO_CAPACITY = "Capacity is unavailable at this time"
VCPUS = "You've reached the limit on the number of vCPUs you can run concurrently"


def capacity(call: dict[str, Any]) -> Any:
    return call.get("launchType") or call["capacityProviderStrategy"][0]["capacityProvider"]


def test_a_launch_is_one_call_of_exactly_this_request(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher
) -> None:
    first = launches.create()
    second = asked(launches, cpu="2048", memory="4096", ephemeral_storage="30")
    stack.account.forget()
    assert launcher.launch(launches.instance, first)
    assert launcher.launch(launches.instance, second)

    assert stack.account.calls() == ["GetParameter", "RunTask", "RunTask"]
    for run, sent in zip((first, second), stack.account.sent("RunTask"), strict=True):
        launch = IsolatedLaunch(
            run.run_id, 1, LOCATION, stack.isolated_definition, tags=run.tags, job="work_job"
        )
        assert sent == request(stack.manifest, launch)
        stored = run_record.read(launches.read(run))
        assert (stored.kind, stored.attempt) == (Kind.ISOLATED, 1)
        assert [stored.task_arn] == tasks(stack, run)
    assert stack.account.sent("RunTask")[1]["overrides"]["cpu"] == "2048"
    assert launches.ended(second).status is DagsterRunStatus.SUCCESS


def test_without_capacity_where_the_run_asks_the_next_attempt_is_made_at_once(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, run: DagsterRun
) -> None:
    stack.account.fault("run_task_failures")

    assert launcher.launch(launches.instance, run)

    assert stack.account.calls()[-2:] == ["RunTask", "RunTask"]
    first, second = (call["clientToken"] for call in stack.account.sent("RunTask"))
    assert first != second
    assert run_record.read(launches.read(run)).attempt == 2
    assert any(NO_CAPACITY in event and "attempt 2" in event for event in launches.events(run))
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS


def test_an_answer_with_neither_task_nor_failure_is_not_asked_for_again(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, run: DagsterRun
) -> None:
    stack.account.fault("run_task_failures", failures=[])

    assert launcher.launch(launches.instance, run)

    first, second = (call["clientToken"] for call in stack.account.sent("RunTask"))
    assert first != second
    assert tasks(stack, run) == [run_record.read(launches.read(run)).task_arn]


def test_from_spot_to_on_demand_to_zone_by_zone(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, run: DagsterRun
) -> None:
    found = stack.account.client("ec2").describe_subnets()["Subnets"]
    subnets = [subnet["SubnetId"] for subnet in found][:2]
    publish(stack, spot=True, network={"subnets": subnets})
    stack.ecs.put_cluster_capacity_providers(
        cluster=stack.cluster,
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[],
    )
    stack.account.fault("run_task_failures", failures=[{"reason": "RESOURCE:CPU", "detail": "S"}])
    stack.account.fault("run_task_failures", failures=[{"reason": VCPUS}], times=2)

    assert not launcher.launch(launches.instance, run)
    assert not launcher.go_on(launches.instance, launches.read(run))
    assert launcher.go_on(launches.instance, launches.read(run))

    sent = stack.account.sent("RunTask")
    assert [capacity(call) for call in sent] == ["FARGATE_SPOT", "FARGATE", "FARGATE", "FARGATE"]
    used = [call["networkConfiguration"]["awsvpcConfiguration"]["subnets"] for call in sent]
    assert used == [subnets, subnets, subnets[:1], subnets[1:]]
    (told,) = [event for event in launches.events(run) if "There is no task" in event]
    assert "The first answer, to attempt 1: RESOURCE:CPU S." in told
    assert f"The last, to attempt 2: {VCPUS}." in told


def test_answers_that_are_lost_do_not_make_two_tasks(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, run: DagsterRun
) -> None:
    stack.account.fault("lost_response", operation="RunTask", times=2)
    stack.account.fault("slow_task", seconds=600)
    run = launches.starting(run)

    assert not launcher.launch(launches.instance, run)

    # There may be a task: the run must not be launched anew from the queue, nor wait for its place.
    assert launches.read(run).status is DagsterRunStatus.STARTING
    assert launcher.go_on(launches.instance, launches.read(run))
    assert len(stack.account.sent("RunTask")) == 3
    assert len({call["clientToken"] for call in stack.account.sent("RunTask")}) == 1
    assert tasks(stack, run) == [run_record.read(launches.read(run)).task_arn]
    assert run_record.read(launches.read(run)) == run_record.RunTags(
        Kind.ISOLATED, 1, tasks(stack, run)[0]
    )


def test_a_throttle_after_a_lost_answer_does_not_send_a_run_back_that_may_have_a_task(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, run: DagsterRun
) -> None:
    stack.account.fault("lost_response", operation="RunTask", times=2)
    stack.account.fault("slow_task", seconds=600)
    run = launches.starting(run)
    assert not launcher.launch(launches.instance, run)
    stack.account.fault("error", operation="RunTask", code="ThrottlingException")
    assert not launcher.go_on(launches.instance, launches.read(run))
    assert launches.read(run).status is DagsterRunStatus.STARTING
    assert launcher.go_on(launches.instance, launches.read(run))
    assert [run_record.read(launches.read(run)).task_arn] == tasks(stack, run)


def test_what_a_quick_worker_has_noted_stays(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher, run: DagsterRun
) -> None:
    """The launcher does not know of its task, and the task executes the run already."""
    stack.account.fault("lost_response", operation="RunTask", times=2)
    stack.account.fault("slow_task", seconds=600)
    run = launches.starting(run)
    assert not launcher.launch(launches.instance, run)
    read = launches.read(run)
    [task_arn] = tasks(stack, run)
    run_record.write(launches.instance, read, task_arn=task_arn)
    stack.account.fault("error", operation="RunTask", code="ThrottlingException")
    assert not launcher.go_on(launches.instance, read)
    assert run_record.read(launches.read(run)).task_arn == task_arn


def test_what_is_final_fails_the_run_and_says_why(launches: Launches, stack: Stack) -> None:
    stack.account.fault(
        "error", operation="RunTask", code="InvalidParameterException", message="No such size."
    )
    run = launches.create()

    with pytest.raises(LaunchFailedError, match="No such size"):
        launches.dequeue(run)

    assert len(stack.account.sent("RunTask")) == 1
    assert launches.read(run).status is DagsterRunStatus.FAILURE
    assert any("No such size." in message for message in launches.events(run))


def test_tags_that_ask_for_too_much_fail_the_run_without_a_call(
    launches: Launches, stack: Stack
) -> None:
    run = asked(launches, cpu="4 vCPU", memory="999", run_task_kwargs='{"count": 2}')

    with pytest.raises(LaunchTagsError) as refused:
        launches.dequeue(run)

    assert [problem.key for problem in refused.value.problems] == [
        "ecs/run_task_kwargs.count",
        "ecs/cpu",
        "ecs/memory",
    ]
    assert "RunTask" not in stack.account.calls()
    assert launches.read(run).status is DagsterRunStatus.FAILURE


def test_a_run_of_a_server_that_advertises_no_task_definition_is_refused(
    launches: Launches,
) -> None:
    run = launches.create()
    assert run.job_code_origin is not None
    repository = run.job_code_origin.repository_origin._replace(container_context=None)
    bare = run._replace(job_code_origin=run.job_code_origin._replace(repository_origin=repository))
    with pytest.raises(RunNotLaunchableError, match="location probe"):
        task_definition(bare)


def test_everything_that_a_run_may_ask_for_reaches_its_task(
    launches: Launches, stack: Stack, launcher: IsolatedLauncher
) -> None:
    run = launches.create(
        tags={
            tag_names.ECS_CPU: "512",
            tag_names.ECS_TASK_OVERRIDES: '{"ephemeralStorage": {"sizeInGiB": 40}}',
            tag_names.ECS_CONTAINER_OVERRIDES: '{"environment": [{"name": "A", "value": "1"}]}',
            tag_names.ECS_RUN_TASK_KWARGS: (
                '{"group": "night", "tags": [{"key": "t", "value": "v"}]}'
            ),
        }
    )
    assert launcher.launch(launches.instance, run)
    (task_arn,) = tasks(stack, run)
    task = stack.ecs.describe_tasks(cluster=stack.cluster, tasks=[task_arn], include=["TAGS"])
    (task,) = task["tasks"]
    # The probe's own 1024 and 2048: 512 CPU units go with 2048 MiB, too.
    assert (task["cpu"], task["memory"], task["group"]) == ("512", "2048", "night")
    assert task["ephemeralStorage"]["sizeInGiB"] == 40
    assert {"key": "t", "value": "v"} in task["tags"]
    assert {"key": "dagster/run_id", "value": run.run_id} in task["tags"]
    assert launches.ended(run).status is DagsterRunStatus.SUCCESS


def test_a_run_that_was_decided_on_is_launched_as_the_attempt_on_record(
    launches: Launches, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its worker would say on the run, whenever it comes to it, that attempt 1 is in charge.
    stack.account.fault("dead_task")
    run = launches.submit(launches.create())
    assert run_record.read(run) == run_record.RunTags(kind=Kind.ISOLATED, attempt=1)
    written: list[set[str]] = []
    write = run_record.write

    def note(instance: Any, of: DagsterRun, **values: Any) -> None:
        written.append(set(values))
        write(instance, of, **values)

    monkeypatch.setattr(run_record, "write", note)
    assert IsolatedLauncher(Deployment()).launch(launches.instance, run)
    assert written == [{"task_arn", "wait"}]
    assert len(tasks(stack, run)) == 1

    # Another process has taken it from the queue at the same time.
    assert IsolatedLauncher(Deployment()).launch(launches.instance, launches.read(run))
    assert len(tasks(stack, run)) == 1
    assert run_record.read(launches.read(run)).attempt == 1

    # One that is resumed needs another task.
    assert IsolatedLauncher(Deployment()).resume(launches.instance, launches.read(run))
    assert len(tasks(stack, run)) == 2
    assert run_record.read(launches.read(run)).attempt == 2
