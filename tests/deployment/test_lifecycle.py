"""Failures in the middle, two stacks in one account, and the end of a stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation

from localaws.account import LocalAccount
from localaws.faults import Error
from tests.deployment.conftest import MakeStack, config, probe
from tests.deployment.inventory import inventory
from tests.deployment.served import code_version
from tests.localaws.roles import make_role

pytestmark = pytest.mark.engine


def test_an_up_that_failed_in_the_middle_is_repaired_by_the_next(
    make_stack: MakeStack, account: LocalAccount, tmp_path: Path
) -> None:
    stack = make_stack("broken")
    stack.write(config(tmp_path))
    for operation in ("RegisterTaskDefinition", "CreateNatGateway"):
        account.faults.add(
            Error(
                service={"CreateNatGateway": "ec2"}.get(operation, "ecs"),
                operation=operation,
                code="ServerException",
                message="injected",
                status=400,
            )
        )
    with pytest.raises(automation.CommandError, match="injected"):
        stack.up()
    account.faults.clear()
    assert stack.state(), "the broken up left nothing to repair"

    stack.up()

    assert code_version(account, "broken") == "1"
    assert stack.up().by_resource == {}
    stack.destroy()


def test_two_stacks_live_side_by_side_and_destroy_leaves_nothing(
    make_stack: MakeStack, account: LocalAccount, tmp_path: Path
) -> None:
    blue, green = make_stack("blue"), make_stack("green")
    blue.write(config(tmp_path / "blue", locations={"probe": probe("1")}))
    green.write(config(tmp_path / "green", locations={"probe": probe("2")}))
    outputs = blue.up().outputs
    green.up()
    assert (code_version(account, "blue"), code_version(account, "green")) == ("1", "2")
    assert blue.refresh().by_resource == {}
    of_green = inventory(account, "green")
    assert len(of_green) > 20
    policy, task, interface = use(account, blue.name, outputs)

    with pytest.raises(automation.CommandError) as refused:
        blue.destroy()
    said = str(refused.value)
    assert "deployment blue is still in use, so it can't be destroyed." in said
    assert f"Policy {policy} is attached to role blue-daemon: detach it." in said
    assert f"is on network interfaces {interface} of the daemon: take it from" in said
    assert f"Tasks of isolated runs are running: {task}. Let them end" in said
    # Nothing was tried for minutes.
    assert "DependencyViolation" not in said

    iam, ec2, ecs = (account.client(name) for name in ("iam", "ec2", "ecs"))
    iam.detach_role_policy(RoleName="blue-daemon", PolicyArn=policy)
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    ecs.stop_task(cluster="run-isolation-blue", task=task)
    blue.destroy()

    assert blue.state() == []
    assert inventory(account, "blue") == set()
    assert inventory(account, "green") == of_green
    assert code_version(account, "green") == "2"
    assert green.up().by_resource == {}
    green.destroy()
    assert inventory(account, "green") == set()


def use(account: LocalAccount, name: str, outputs: dict[str, Any]) -> tuple[str, str, str]:
    """Use the deployment as its owner does, who then forgets about it.

    Returns:
        A policy that is attached, a task that runs, a network interface in the group of clients.
    """
    role = f"{name}-daemon"
    make_role(account.client("iam"), role)
    policy = outputs["launcherPolicyArns"][0]
    account.client("iam").attach_role_policy(RoleName=role, PolicyArn=policy)
    network = json.loads(outputs["manifest"])["network"]
    started = account.client("ecs").run_task(
        cluster=outputs["cluster"],
        taskDefinition=outputs["codeLocations"]["probe"]["isolatedTaskDefinition"],
        launchType="FARGATE",
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": network["subnets"],
                "securityGroups": network["security_groups"],
            }
        },
        overrides={"containerOverrides": [{"name": "dagster", "command": ["sleep", "600"]}]},
    )
    interface = account.client("ec2").create_network_interface(
        SubnetId=outputs["subnets"][0],
        Groups=[outputs["clientSecurityGroup"]],
        Description="of the daemon",
    )
    return (
        policy,
        started["tasks"][0]["taskArn"],
        interface["NetworkInterface"]["NetworkInterfaceId"],
    )


def test_bad_config_fails_at_preview_with_all_errors_and_no_traceback(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    stack = make_stack("bad")
    wrong = config(tmp_path, locations={"probe": {**probe("1"), "isolated": {"memory": 15000}}})
    wrong["run-isolation:deploymentSettings"] = {"non_isolated_runs": {"enable": True}}
    stack.write(wrong)

    with pytest.raises(automation.CommandError) as failed:
        stack.preview()

    said = str(failed.value)
    assert "run-isolation:codeLocations.probe.isolated.memory" in said
    assert "15000" in said
    assert "15360" in said
    assert "non_isolated_runs.enable" in said
    assert "`enabled`" in said or "'enabled'" in said or "enabled" in said
    assert "Traceback" not in said


def test_an_engine_that_is_too_old_is_refused(make_stack: MakeStack) -> None:
    stack = make_stack("old")
    program = stack.directory / "program" / "__main__.py"
    program.parent.mkdir()
    program.write_text(
        "import infra.engine_version as engine\nengine.OLDEST = '99.0.0'\nengine.require_engine()\n"
    )
    project = stack.directory / "Pulumi.yaml"
    project.write_text(project.read_text().replace("main: infra", "main: program"))

    with pytest.raises(automation.CommandError) as failed:
        stack.preview()

    said = str(failed.value)
    assert 'does not satisfy the version range ">=99.0.0"' in said
    assert "needs the Pulumi CLI 99.0.0 or newer" in said
    assert "Traceback" not in said
