"""A standing task's way through redeploys, its server and ECS played."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from queue import Queue

import pytest
from botocore.exceptions import EndpointConnectionError

from run_isolation.standing.draining import StandingTask
from run_isolation.standing.protection import TaskProtection
from run_isolation.standing.redeploys import Redeploys
from tests.runtime.agent import Agent, agent
from tests.waiting import eventually

WAIT = 10
SUCCESSOR = "arn:task/2"


class Ecs(Redeploys):
    """Tells each look, and answers what is set."""

    def __init__(self) -> None:
        self.looks: Queue[None] = Queue()
        self.answer: str | Exception | None = None

    def successor(self) -> str | None:
        self.looks.put(None)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def after_next_look(self) -> None:
        """Two: the first may have begun before what was set last."""
        while not self.looks.empty():
            self.looks.get()
        for _ in range(2):
            self.looks.get(timeout=WAIT)


class Listener:
    """Tells what is done to the port."""

    def __init__(self) -> None:
        self.done: Queue[str] = Queue()
        self.trouble: list[Exception] = []

    def open(self) -> None:
        self._do("opened")

    def close(self) -> None:
        self._do("closed")

    def _do(self, what: str) -> None:
        if self.trouble:
            self.done.put(f"not {what}")
            raise self.trouble.pop()
        self.done.put(what)


class Server:
    """A server with runs."""

    def __init__(self, endpoint: Agent) -> None:
        self.endpoint = endpoint
        self.runs = 0
        self.ecs, self.listener = Ecs(), Listener()
        protection = TaskProtection(
            self.hosts_runs, logging.getLogger("test"), endpoint.environment
        )
        self.task = StandingTask(
            self.hosts_runs,
            protection,
            self.ecs,
            self.listener,
            logging.getLogger("test"),
            check_seconds=0.01,
        )

    def hosts_runs(self) -> bool:
        return self.runs > 0

    def start_run(self) -> None:
        self.runs += 1
        self.task.protect()

    def end_run(self) -> None:
        self.runs -= 1
        self.task.run_ended()

    @property
    def protected(self) -> list[bool]:
        return [asked["ProtectionEnabled"] for asked in self.endpoint.asked]


@pytest.fixture
def server() -> Iterator[Server]:
    with agent() as endpoint:
        server = Server(endpoint)
        server.task.start()
        yield server
        server.task.close()


def test_an_idle_task_asks_nobody(server: Server) -> None:
    server.task.run_ended()
    assert not server.ecs.looks.qsize()
    assert server.protected == []


def test_it_is_protected_before_the_first_run_begins_until_the_last_has_ended(
    server: Server,
) -> None:
    server.start_run()
    assert server.protected == [True]
    server.start_run()
    server.end_run()
    server.ecs.after_next_look()
    assert server.protected == [True]
    server.end_run()
    server.endpoint.wait_for_calls(2)
    assert server.protected == [True, False]


def test_the_end_of_the_protection_is_tried_until_it_works(server: Server) -> None:
    server.start_run()
    server.endpoint.trouble = [(500, {})] * 3
    server.end_run()
    server.endpoint.wait_for_calls(5)
    assert server.protected == [True, False, False, False, False]


def test_it_steps_aside_and_serves_again_where_nobody_else_does(server: Server) -> None:
    server.start_run()
    server.ecs.after_next_look()
    assert server.task.why_draining is None
    server.ecs.answer = SUCCESSOR
    assert server.listener.done.get(timeout=WAIT) == "closed"
    assert server.task.why_draining == f"Task {SUCCESSOR} has taken its place."
    server.end_run()
    server.ecs.after_next_look()
    server.ecs.answer = None
    assert server.listener.done.get(timeout=WAIT) == "opened"
    assert server.task.why_draining is None
    assert server.listener.done.empty()


@pytest.mark.parametrize(
    "trouble", [EndpointConnectionError(endpoint_url="http://ecs"), KeyError("startedBy")]
)
def test_trouble_with_ecs_changes_nothing_and_the_next_look_is_made(
    server: Server, trouble: Exception
) -> None:
    server.start_run()
    server.ecs.answer = SUCCESSOR
    server.listener.done.get(timeout=WAIT)
    server.ecs.answer = trouble
    server.ecs.after_next_look()
    assert server.task.why_draining is not None
    server.ecs.answer = None
    assert server.listener.done.get(timeout=WAIT) == "opened"


def test_a_port_that_could_not_be_opened_or_closed_is_by_the_next_look(server: Server) -> None:
    server.start_run()
    done = server.listener.done
    server.listener.trouble = [OSError("Not now.")]
    server.ecs.answer = SUCCESSOR
    assert [done.get(timeout=WAIT), done.get(timeout=WAIT)] == ["not closed", "closed"]
    server.listener.trouble = [OSError("Address already in use."), OSError("The same.")]
    server.ecs.answer = None
    assert [done.get(timeout=WAIT) for _ in range(2)] == ["not opened"] * 2
    # It starts no runs that nobody could ask for by the location's name.
    assert done.get(timeout=WAIT) == "opened"
    eventually(lambda: server.task.why_draining is None)
    server.ecs.after_next_look()
    assert done.empty()
