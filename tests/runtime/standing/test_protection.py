"""A task is protected while it is wanted, through all trouble, and no longer."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from run_isolation.standing.protection import EXPIRES_MINUTES, RENEW_SECONDS, TaskProtection
from tests.runtime.agent import CUT_SHORT, ERROR, REFUSAL, Agent, agent

BEGIN = {"ProtectionEnabled": True, "ExpiresInMinutes": EXPIRES_MINUTES}
END = {"ProtectionEnabled": False}


class Task:
    """A task, what is wanted of its protection, and the time."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.wanted = False
        self.now = 1000.0
        self.protection = TaskProtection(
            lambda: self.wanted, logging.getLogger("test"), environment, lambda: self.now
        )

    def settle(self, wanted: bool, later: float = 0.0) -> None:
        self.wanted = wanted
        self.now += later
        self.protection.settle()


@pytest.fixture
def endpoint() -> Iterator[Agent]:
    with agent() as endpoint:
        yield endpoint


@pytest.fixture
def task(endpoint: Agent) -> Task:
    return Task(endpoint.environment)


def test_it_begins_and_ends_once(task: Task, endpoint: Agent) -> None:
    for wanted in (False, True, True, False, False):
        task.settle(wanted)
        assert task.protection.held is wanted
    assert endpoint.asked == [BEGIN, END]


def test_it_is_renewed_long_before_it_expires(task: Task, endpoint: Agent) -> None:
    task.settle(True)
    task.settle(True, later=RENEW_SECONDS - 1)
    assert endpoint.asked == [BEGIN]
    task.settle(True, later=1)
    assert endpoint.asked == [BEGIN, BEGIN]
    assert RENEW_SECONDS * 3 <= EXPIRES_MINUTES * 60


@pytest.mark.parametrize(
    "trouble",
    [
        *[(200, REFUSAL), (429, ERROR), (500, ERROR), (502, "Bad Gateway"), (200, "[]")],
        *[(200, {"protection": None}), (200, {"protection": "none"}), (200, CUT_SHORT)],
    ],
)
@pytest.mark.parametrize("wanted", [True, False])
def test_trouble_is_said_once_and_the_next_call_mends_it(
    task: Task,
    endpoint: Agent,
    caplog: pytest.LogCaptureFixture,
    trouble: tuple[int, object],
    wanted: bool,
) -> None:
    task.settle(not wanted)
    before = len(endpoint.asked)
    endpoint.trouble = [trouble, trouble]
    for _ in range(3):
        task.settle(wanted)
    assert endpoint.asked[before:] == [BEGIN if wanted else END] * 3
    assert task.protection.held is wanted
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "PUT http://127.0.0.1" in warning.getMessage()
    if trouble[1] in (REFUSAL, ERROR):
        assert str(next(iter(trouble[1].values()))["Arn"]) in warning.getMessage()


def test_an_answer_that_got_lost_may_have_begun_it(task: Task, endpoint: Agent) -> None:
    endpoint.trouble = [(500, ERROR)]
    task.settle(True)
    task.settle(False)
    assert endpoint.asked == [BEGIN, END]


@pytest.mark.parametrize("environment", [{}, {"ECS_AGENT_URI": "http://127.0.0.1:9"}])
def test_without_an_agent_it_says_so(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    task = Task(environment)
    task.settle(True)
    [warning] = caplog.messages
    assert "could not be begun or renewed; trying again" in warning
    assert "120 seconds" in warning
