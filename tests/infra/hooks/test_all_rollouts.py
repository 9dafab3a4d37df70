import asyncio
import threading

import pulumi
import pytest

from infra.hooks import all_rollouts
from infra.hooks.all_rollouts import AT_ONCE, Rollouts
from infra.hooks.aws_clients import Clients
from infra.hooks.one_rollout import Rollout, RolloutError
from tests.infra.program import REGION, deployment

Looks = dict[str, list[bool | Exception]]


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `up` shows. Each line replaces the last, and none is kept."""
    lines: list[str] = []

    def info(line: str, *, ephemeral: bool) -> None:
        assert ephemeral
        lines.append(line)

    monkeypatch.setattr(pulumi.log, "info", info)
    return lines


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """What each look at a service finds; the last answer stays."""
    looks: Looks = {}

    def healthy(rollout: Rollout) -> bool:
        left = looks[rollout.service]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def error(rollout: Rollout, why: str) -> RolloutError:
        if rollout.service == "mute":
            raise PermissionError("nor this")
        return RolloutError(f"{rollout.service}: {why}")

    monkeypatch.setattr(all_rollouts, "LOOKS_PER_SECOND", 1000.0)
    monkeypatch.setattr(Rollout, "healthy", healthy)
    monkeypatch.setattr(Rollout, "error", error)
    return looks


def noted(*names: str) -> Rollouts:
    found = Rollouts(deployment(), Clients(REGION))
    for name in names:
        found.note({"name": name, "cluster": "arn:cluster", "taskDefinition": f"arn:{name}"})
    return found


def wait(changed: Rollouts, patience: float = 60) -> None:
    asyncio.run(changed.wait(patience, interval=0.01))


def test_nothing_changed_is_nothing_to_wait_for() -> None:
    wait(noted())


def test_each_is_looked_at_until_it_is_healthy(answers: Looks) -> None:
    answers.update(sales=[False, False, True], probe=[True])
    wait(noted("sales", "probe"))
    assert answers == {"sales": [True], "probe": [True]}


def test_one_error_names_each_that_failed_when_the_others_are_up(answers: Looks) -> None:
    answers.update(
        broken=[RolloutError("code location broken: no such module")],
        denied=[PermissionError("you may not")],
        slow=[False, False, False, True],
        stuck=[False],
        mute=[False],
    )
    with pytest.raises(RolloutError) as error:
        wait(noted("broken", "denied", "slow", "stuck", "mute"), patience=1)
    said = str(error.value).split("\n\n")
    assert said[0] == "4 code locations did not come up; 1 other did."
    assert said[1:5] == [
        "code location broken: no such module",
        "code location denied: PermissionError: you may not",
        "stuck: no healthy container after 1 s",
        "code location mute: PermissionError: nor this",
    ]
    assert "pulumi up --refresh" in said[5]
    assert answers["slow"] == [True]


def test_tells_who_is_healthy_and_who_is_late(answers: Looks, told: list[str]) -> None:
    answers.update(sales=[True], late=[*[False] * 20, True], other=[*[False] * 40, True])
    wait(noted("sales", "late", "other"))
    assert told == [
        "0 of 3 code locations are healthy; waiting for: sales, late, other",
        "1 of 3 code locations are healthy; waiting for: late, other",
        "2 of 3 code locations are healthy; waiting for: other",
        "3 of 3 code locations are healthy",
    ]


def test_tells_who_failed_before_the_others_are_up(answers: Looks, told: list[str]) -> None:
    answers.update(broken=[RolloutError("no such module")], late=[*[False] * 20, True])
    with pytest.raises(RolloutError):
        wait(noted("broken", "late"))
    assert told[1:] == [
        "0 of 2 code locations are healthy; failed: broken; waiting for: late",
        "1 of 2 code locations are healthy; failed: broken",
    ]


def test_tells_again_where_nothing_changes(
    monkeypatch: pytest.MonkeyPatch, answers: Looks, told: list[str]
) -> None:
    """Silence would be taken for an engine that hangs, and `make up` would stop it."""
    monkeypatch.setattr(all_rollouts, "TELL_SECONDS", 0.05)
    answers.update(late=[*[False] * 30, True])
    wait(noted("late"))
    waiting = "0 of 1 code location is healthy; waiting for: late"
    assert told.count(waiting) >= 3
    assert set(told) == {waiting, "1 of 1 code location is healthy"}


def test_tells_of_many_in_few_short_lines(
    monkeypatch: pytest.MonkeyPatch, answers: Looks, told: list[str]
) -> None:
    monkeypatch.setattr(all_rollouts, "LOOKS_PER_SECOND", 1.0)
    names = [f"loc{number}" for number in range(40)]
    answers.update({name: [True] for name in names})
    wait(noted(*names))
    shown = ", ".join(names[:10])
    assert told == [
        f"0 of 40 code locations are healthy; waiting for: {shown} and 30 more",
        "40 of 40 code locations are healthy",
    ]


def test_many_are_looked_at_a_few_at_a_time_and_less_often(
    monkeypatch: pytest.MonkeyPatch, answers: Looks
) -> None:
    names = [f"loc{number}" for number in range(40)]
    free = threading.Semaphore(AT_ONCE)
    started = threading.Barrier(AT_ONCE, timeout=10)

    def healthy(rollout: Rollout) -> bool:
        assert free.acquire(blocking=False)
        started.wait()
        free.release()
        return True

    monkeypatch.setattr(Rollout, "healthy", healthy)
    wait(noted(*names))
