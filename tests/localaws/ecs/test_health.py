"""Health checks: counting, by a table of verdicts; running, in real containers."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from localaws.ecs import health
from localaws.ecs.definition import HealthCheck
from localaws.ecs.process import ContainerProcess
from localaws.ecs.states import Health
from tests.localaws.conftest import Cluster
from tests.waiting import eventually

H, U = Health.HEALTHY, Health.UNHEALTHY

# start period, exit codes of the checks (None: it hangs), reports
VERDICTS: dict[str, tuple[float, list[int | None], list[Health]]] = {
    "healthy": (0, [0, 0], [H, H]),
    "failures below the retries": (0, [0, 1, 0, 1, 0], [H, H, H]),
    "unhealthy after the retries": (0, [1, 1], [U]),
    "a hanging check fails": (0, [None, None], [U]),
    "failures in the start period do not count": (60, [1, 1, 1, 0], [H]),
    "after a success they do, also in the start period": (60, [0, 1, 1], [H, U]),
    "recovers": (0, [1, 1, 0], [U, H]),
}


class FakeProcess:
    def __init__(self, code: int | None) -> None:
        self.code = code
        self.killed = False

    def wait(self, timeout: float | None = None) -> int | None:
        return 137 if self.killed else self.code

    def kill(self) -> None:
        self.killed = True


class Script(threading.Event):
    """Ends the container after the last check; never waits."""

    def __init__(self, codes: list[int | None]) -> None:
        super().__init__()
        self.left = list(codes)
        self.pauses: list[float | None] = []
        self.started: list[FakeProcess] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        return not self.left

    def start(self, command: tuple[str, ...]) -> ContainerProcess:
        self.started.append(FakeProcess(self.left.pop(0)))
        return cast(ContainerProcess, self.started[-1])


@pytest.mark.parametrize("case", VERDICTS)
def test_verdicts(case: str) -> None:
    start_period, codes, reports = VERDICTS[case]
    check = HealthCheck(("x",), interval=5, timeout=2, retries=2, start_period=int(start_period))
    script = Script(codes)
    reported: list[Health] = []
    health.watch(check, script.start, reported.append, script)
    assert reported == reports
    assert all(process.killed for process in script.started if process.code is None)


@pytest.mark.parametrize(
    ("start_period", "first", "pauses"),
    [
        (60, 1.0, [1, 1, 5, 5]),
        (60, None, [5, 5, 5, 5]),
        (60, 9.0, [5, 5, 5, 5]),
        (0, 1.0, [1, 5, 5, 5]),
    ],
    ids=["until it is healthy", "as on AWS", "never less often", "while failures do not count"],
)
def test_a_container_that_starts_may_be_looked_at_more_often(
    start_period: int, first: float | None, pauses: list[float]
) -> None:
    check = HealthCheck(("x",), interval=5, timeout=2, retries=9, start_period=start_period)
    script = Script([1, 0, 0])
    health.watch(check, script.start, lambda verdict: None, script, first)
    assert script.pauses == pauses


def test_a_check_runs_inside_the_container(cluster: Cluster) -> None:
    # Whoever waits for the file finds all of it.
    command = "env > $HOME/writing; mv $HOME/writing $HOME/seen; test $MINE = yes"
    check = {"command": ["CMD", "sh", "-c", command], "interval": 1}
    environment = [{"name": "MINE", "value": "yes"}]
    script = "until test -e $HOME/seen; do sleep 0.05; done; cat $HOME/seen; sleep 60"
    task = cluster.run(script, healthCheck=check, environment=environment)
    task.wait_until(lambda one: one.health is Health.HEALTHY, 10)
    eventually(lambda: "MINE=yes" in cluster.logs(task))
    shown = cluster.describe(task)
    assert shown["healthStatus"] == shown["containers"][0]["healthStatus"] == "HEALTHY"


def test_an_unhealthy_task_without_a_service_runs_on(cluster: Cluster) -> None:
    check = {"command": ["CMD-SHELL", "exit 1"], "interval": 1, "retries": 1}
    task = cluster.run("sleep 60", healthCheck=check)
    task.wait_until(lambda one: one.health is Health.UNHEALTHY, 10)
    assert cluster.describe(task)["lastStatus"] == "RUNNING"
