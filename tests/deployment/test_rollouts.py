"""What `pulumi up` waits for when a standing container is replaced, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation

from localaws.account import LocalAccount
from tests.deployment.conftest import MakeStack, config, probe
from tests.deployment.served import code_version
from tests.deployment.stack import DeployedStack

pytestmark = pytest.mark.engine

STACK = "rollouts"
CLUSTER = f"run-isolation-{STACK}"


@pytest.fixture
def stack(make_stack: MakeStack, tmp_path: Path) -> Iterator[DeployedStack]:
    stack = make_stack(STACK)
    stack.write(config(tmp_path))
    stack.up()
    yield stack
    stack.destroy()


def standing_tasks(account: LocalAccount) -> list[str]:
    ecs = account.client("ecs")
    arns: list[str] = ecs.list_tasks(cluster=CLUSTER, serviceName="probe")["taskArns"]
    return arns


def protect(account: LocalAccount, task: str, *, enabled: bool) -> None:
    account.client("ecs").update_task_protection(
        cluster=CLUSTER, tasks=[task], protectionEnabled=enabled
    )


def test_a_protected_container_is_not_waited_for_and_a_roll_back_is_an_error(
    stack: DeployedStack, account: LocalAccount, tmp_path: Path
) -> None:
    [old] = standing_tasks(account)
    protect(account, old, enabled=True)
    stack.write(config(tmp_path, locations={"probe": probe("2")}))
    stack.up()
    assert len(standing_tasks(account)) == 2
    protect(account, old, enabled=False)
    account.task(old).wait_for("STOPPED", 30)
    assert code_version(account, STACK) == "2"

    stack.write(config(tmp_path, locations={"probe": probe("absent")}))
    with pytest.raises(automation.CommandError) as error:
        stack.up()
    said = str(error.value)
    assert "code location probe: ECS" in said
    assert "CannotPullContainerError" in said
    assert "pulumi up --refresh" in said
    assert code_version(account, STACK) == "2"
    # The engine has stored what it asked for; a refresh sees what ECS went back to.
    stack.write(config(tmp_path, locations={"probe": probe("2")}))
    stack.up(refresh=True)
    assert code_version(account, STACK) == "2"
