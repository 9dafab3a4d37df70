"""What `pulumi up` waits for when a standing container is replaced, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation

from localaws.account import LocalAccount
from localaws.faults import Error
from tests.deployment.conftest import MakeStack, config, probe
from tests.deployment.served import code_version
from tests.deployment.stack import DeployedStack
from tests.deployment.stub import make_stub, stub

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


BROKEN = """#!/bin/sh
echo "ModuleNotFoundError: No module named 'pands'" >&2
exit 1
"""


def test_a_location_that_fails_keeps_no_other_from_its_rollout(
    make_stack: MakeStack, account: LocalAccount, local_image_root: Path, tmp_path: Path
) -> None:
    for tag in ("1", "2"):
        make_stub(local_image_root, tag)
    make_stub(local_image_root, "broken", BROKEN)
    stack = make_stack("imports")

    def write(**tags: str) -> None:
        each = {name: stub(local_image_root, tag) for name, tag in tags.items()}
        stack.write(config(tmp_path, locations=each))

    write(first="1", second="1")
    stack.up()
    write(first="2", second="2", bad="broken")
    said = failure(stack)
    assert "1 code location did not come up; 2 others did." in said
    assert "code location bad: ECS deployment circuit breaker: tasks failed to start" in said
    assert "ModuleNotFoundError: No module named 'pands'" in said
    assert "Traceback" not in said
    ecs = account.client("ecs")
    for service in ("first", "second"):
        [task] = ecs.list_tasks(cluster="run-isolation-imports", serviceName=service)["taskArns"]
        [running] = ecs.describe_tasks(cluster="run-isolation-imports", tasks=[task])["tasks"]
        assert running["containers"][0]["image"] == "stub:2"
        assert running["healthStatus"] == "HEALTHY"

    # The next one finds nothing to change, and says it again.
    said = failure(stack)
    assert "code location bad: ECS deployment circuit breaker: tasks failed to start" in said
    assert "ModuleNotFoundError: No module named 'pands'" in said

    write(first="2", second="2", bad="1")
    assert stack.up().by_resource["aws:ecs/service:Service::bad"] == ["update"]
    assert stack.up().by_resource == {}

    # What is made again as it was is waited for as well: there its record stays as it is.
    ecs.delete_service(cluster="run-isolation-imports", service="first", force=True)
    account.faults.add(Error(operation="ListTasks", code="AccessDeniedException", message="no"))
    said = failure(stack, refresh=True)
    assert "code location first: AccessDeniedException" in said
    assert "Traceback" not in said
    stack.destroy()


def failure(stack: DeployedStack, **options: Any) -> str:
    with pytest.raises(automation.CommandError) as error:
        stack.up(**options)
    return str(error.value)
