import asyncio
import threading

import pytest

from infra import rollouts
from infra.aws_clients import Clients
from infra.rollout import Rollout, RolloutError
from infra.rollouts import AT_ONCE, Rollouts
from tests.infra.program import REGION, deployment

Looks = dict[str, list[bool | Exception]]


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

    monkeypatch.setattr(rollouts, "LOOKS_PER_SECOND", 1000.0)
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
