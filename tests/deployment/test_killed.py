"""An `up` that is killed, and the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from pulumi import automation

from localaws.account import ACCOUNT_ID, LocalAccount
from localaws.faults import Delay
from tests.deployment.conftest import MakeStack, config
from tests.deployment.stack import DeployedStack, kill
from tests.deployment.stub import make_stub, stub
from tests.localaws.roles import make_role
from tests.waiting import eventually

pytestmark = pytest.mark.engine

STACK = "killed"
CLUSTER = f"run-isolation-{STACK}"


Write = Callable[..., None]


@pytest.fixture(scope="module")
def write(local_image_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Write:
    directory = tmp_path_factory.mktemp("instance")
    for tag in ("1", "2"):
        make_stub(local_image_root, tag)

    def write(stack: DeployedStack, **locations: str) -> None:
        each = {name: stub(local_image_root, tag) for name, tag in locations.items()}
        stack.write(config(directory, locations=each))

    return write


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack, account: LocalAccount, write: Write) -> DeployedStack:
    stack = make_stack(STACK)
    write(stack, first="1")
    stack.up()
    return stack


def killed_while_it_creates(
    stack: DeployedStack, account: LocalAccount, calls: dict[tuple[str, str], int]
) -> None:
    """`up` is killed when AWS has so many calls of each and has not answered yet."""
    faults = {
        account.faults.add(Delay(service=service, operation=call, seconds=3, times=None)): count
        for (service, call), count in calls.items()
    }
    with stack.command_line("up", "--yes", "--skip-preview") as process:
        for fault, count in faults.items():
            fault.wait_for_hit(count, timeout=60)
        kill(process)
    account.faults.clear()
    stack.run("cancel", "--yes", within=10)


@pytest.fixture(autouse=True)
def no_program_outlives_its_engine() -> Iterator[None]:
    yield
    eventually(lambda: not programs(), "programs end with their engines")


def programs() -> list[psutil.Process]:
    """Forks in which a program runs; see `warm_programs.py`."""
    warm = [one for one in psutil.Process().children(recursive=True) if _is_warm(one)]
    return [one for one in warm if one.parent() in warm]


def _is_warm(process: psutil.Process) -> bool:
    try:
        return "tests.deployment.warm_programs" in process.cmdline()
    except psutil.Error:  # it has ended
        return False


def until(find: Callable[[], Any]) -> Any:
    """What is found when the calls that were delayed have been carried out."""
    return eventually(find, "AWS has carried out what it was asked for")


def made_at(account: LocalAccount, service: str) -> datetime:
    """When the service was created that has a container now."""

    def running() -> Any:
        answer = account.client("ecs").describe_services(cluster=CLUSTER, services=[service])
        active = [one for one in answer["services"] if one["status"] == "ACTIVE"]
        return [one for one in active if one["runningCount"]]

    [found] = until(running)
    created: datetime = found["createdAt"]
    return created


def test_what_has_a_name_of_its_own_is_named_and_can_be_deleted(
    stack: DeployedStack, account: LocalAccount, write: Write
) -> None:
    write(stack, first="1", named="1")
    calls = {
        ("iam", "CreateRole"): 3,
        ("logs", "CreateLogGroup"): 1,
        ("servicediscovery", "CreateService"): 1,
    }
    killed_while_it_creates(stack, account, calls)
    roles = [f"{CLUSTER}-named-{actor}" for actor in ("execution", "isolated", "standing")]
    iam, logs = account.client("iam"), account.client("logs")
    cloud_map = account.client("servicediscovery")
    for role in roles:
        iam.get_waiter("role_exists").wait(RoleName=role)
    group = f"/run-isolation/{STACK}/named"
    until(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])

    def registered() -> list[str]:
        services = cloud_map.list_services()["Services"]
        return [one["Id"] for one in services if one["Name"] == "named"]

    [registry] = until(registered)

    with pytest.raises(automation.CommandError) as error:
        stack.up(continue_on_error=True)

    for code in ("EntityAlreadyExists", "ResourceAlreadyExists", "ServiceAlreadyExists"):
        assert code in str(error.value)
    for role in roles:
        iam.delete_role(RoleName=role)
    logs.delete_log_group(logGroupName=group)
    cloud_map.delete_service(Id=registry)
    stack.up()
    stack.run("refresh", "--yes", "--clear-pending-creates", within=60)
    assert stack.pending() == []


def test_services_that_a_killed_up_left_are_replaced_unless_they_host_runs(
    stack: DeployedStack, account: LocalAccount, write: Write
) -> None:
    write(stack, first="1", idle="1", busy="1")
    killed_while_it_creates(stack, account, {("ecs", "CreateService"): 2})
    left = {name: made_at(account, name) for name in ("idle", "busy")}
    ecs = account.client("ecs")
    [task] = ecs.list_tasks(cluster=CLUSTER, serviceName="busy")["taskArns"]
    ecs.update_task_protection(cluster=CLUSTER, tasks=[task], protectionEnabled=True)

    with pytest.raises(automation.CommandError) as error:
        stack.up(continue_on_error=True)

    said = str(error.value)
    assert made_at(account, "idle") > left["idle"]
    assert "code location busy: ECS has its service already, and Pulumi does not know it" in said
    assert f"its container hosts runs: {task}" in said
    # What the error says to do.
    command = said.partition("`pulumi import ")[2].partition("`")[0].replace("'", "").split()
    stack.run("import", *command, "--yes", within=30)
    write(stack, first="1", idle="1", busy="2")
    assert stack.up().by_resource["aws:ecs/service:Service::busy"] == ["update"]
    assert made_at(account, "busy") == left["busy"]
    assert ecs.describe_tasks(cluster=CLUSTER, tasks=[task])["tasks"][0]["lastStatus"] == "RUNNING"
    ecs.update_task_protection(cluster=CLUSTER, tasks=[task], protectionEnabled=False)


def test_what_there_is_one_of_is_made_again(
    stack: DeployedStack, account: LocalAccount, write: Write
) -> None:
    """Settings that Pulumi does not know, as after a kill; a service that it is told to replace.

    Somebody uses the deployment, which is in the way of a `destroy` alone.
    """
    write(stack, first="1", idle="1", busy="2")
    urns = [one["urn"] for one in stack.state()]
    [settings] = [urn for urn in urns if urn.endswith("TableItem::settings")]
    [service] = [urn for urn in urns if urn.endswith("ecs/service:Service::first")]
    before = made_at(account, "first")
    stack.run("state", "delete", settings, "--yes", within=10)

    iam, policy = account.client("iam"), f"arn:aws:iam::{ACCOUNT_ID}:policy/{CLUSTER}-launcher"
    role = make_role(iam, f"{CLUSTER}-daemon").rpartition("/")[2]
    iam.attach_role_policy(RoleName=role, PolicyArn=policy)

    changes = stack.up(replace=[service]).by_resource

    iam.detach_role_policy(RoleName=role, PolicyArn=policy)
    assert changes["aws:dynamodb/tableItem:TableItem::settings"] == ["create"]
    assert made_at(account, "first") > before
    table = account.client("dynamodb").scan(TableName=f"{CLUSTER}-slots")["Items"]
    keys = sorted(item["pk"]["S"].partition("#")[0] for item in table)
    assert keys == ["instance", "settings", "slots"]
    assert [item["max_holders"] for item in table if "max_holders" in item]
    assert stack.up().by_resource == {}


def test_an_up_that_is_killed_while_it_waits_is_followed_by_one_that_waits_again(
    stack: DeployedStack, account: LocalAccount, write: Write
) -> None:
    fault = account.faults.add(Delay(operation="ListTasks", seconds=3))
    write(stack, first="2")
    with stack.command_line("up", "--yes", "--skip-preview") as process:
        fault.wait_for_hit(timeout=60)
        kill(process)
    stack.run("cancel", "--yes", within=10)
    changes = stack.up().by_resource
    assert changes["pulumi:index:Stash::rolled-out"] == ["update"]
    assert "aws:ecs/service:Service::first" not in changes
    assert stack.up().by_resource == {}
