"""Which tasks nobody needs: every row, and what is never touched."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from run_isolation.isolated.orphans import (
    ENDING_SECONDS,
    TEARDOWN_SECONDS,
    IsolatedTask,
    StoredRun,
    Surplus,
    surplus,
    unknown,
)
from run_isolation.tasks import TaskState

TASK = IsolatedTask("arn:task/2", "run-1", attempt=2)
RUN = StoredRun("STARTING", over=False, begun=False, attempt=2, task_arn=TASK.arn)
TAGS = {
    "dagster/run_id": "run-1",
    "run_isolation/attempt": "2",
    "run_isolation/deployment": "prod",
}


def test_a_task_of_ours_by_its_tags() -> None:
    assert IsolatedTask.of(TaskState(TASK.arn, "PENDING", tags=TAGS), "prod") == TASK


@pytest.mark.parametrize(
    "state",
    [
        TaskState(TASK.arn, "RUNNING"),
        *(
            TaskState(TASK.arn, "RUNNING", tags={k: v for k, v in TAGS.items() if k != missing})
            for missing in TAGS
        ),
        TaskState(TASK.arn, "RUNNING", tags=TAGS | {"run_isolation/deployment": "dev"}),
        TaskState(TASK.arn, "RUNNING", tags=TAGS | {"run_isolation/attempt": "two"}),
        TaskState(TASK.arn, "RUNNING", stopping=True, tags=TAGS),
        TaskState(TASK.arn, "STOPPED", tags=TAGS),
    ],
)
def test_other_tasks_are_nobodys_business(state: TaskState) -> None:
    assert IsolatedTask.of(state, "prod") is None


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (None, Surplus("was deleted", deleted=True)),
        # Its start timed out, or it was canceled, while the task was on its way.
        (replace(RUN, status="FAILURE", over=True), Surplus("has ended (FAILURE)")),
        (
            replace(RUN, status="CANCELED", over=True, task_arn=None),
            Surplus("has ended (CANCELED)"),
        ),
        # It was executed in this task, whose worker may be about to notice its end.
        (
            replace(RUN, status="FAILURE", over=True, begun=True),
            Surplus("has ended (FAILURE)", patience=ENDING_SECONDS),
        ),
        # It has ended by itself, and its worker may tear down what it needed.
        (
            replace(RUN, status="SUCCESS", over=True, begun=True, its_own_end=True),
            Surplus("has ended (SUCCESS)", patience=TEARDOWN_SECONDS),
        ),
        # It was executed in another one.
        (
            replace(RUN, status="SUCCESS", over=True, begun=True, task_arn="arn:task/3"),
            Surplus("has ended (SUCCESS)"),
        ),
        (
            replace(RUN, attempt=3, task_arn="arn:task/3"),
            Surplus("goes on in task arn:task/3, attempt 3", superseded=True),
        ),
    ],
)
def test_what_nobody_needs(run: StoredRun | None, why: Surplus) -> None:
    assert surplus(TASK, run) == why


@pytest.mark.parametrize(
    "run",
    [
        RUN,
        replace(RUN, status="STARTED", begun=True),
        replace(RUN, status="CANCELING"),
        # A newer launch is at work: its task is not known yet.
        replace(RUN, attempt=3, task_arn=None),
        # Two tasks of one attempt: the claim decides.
        replace(RUN, task_arn="arn:task/3"),
        # A late note of an older launcher.
        replace(RUN, attempt=1, task_arn="arn:task/1"),
    ],
)
def test_what_stays(run: StoredRun) -> None:
    assert surplus(TASK, run) is None


@pytest.mark.parametrize(
    ("over", "attempt", "task_arn"),
    list(itertools.product([True, False], [1, 2, 3], [None, TASK.arn, "arn:task/3"])),
)
def test_a_run_adopts_only_the_task_that_it_waits_for(
    over: bool, attempt: int, task_arn: str | None
) -> None:
    run = replace(RUN, over=over, attempt=attempt, task_arn=task_arn)
    assert unknown(TASK, run) is (not over and attempt == 2 and task_arn is None)
