"""Failures in the middle, two stacks in one account, and the end of a stack."""

from __future__ import annotations

from pathlib import Path

import pytest
from pulumi import automation

from localaws.account import LocalAccount
from localaws.faults import Error
from tests.deployment.conftest import MakeStack, config, probe
from tests.deployment.inventory import inventory
from tests.deployment.served import code_version

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
    blue.up()
    green.up()
    assert (code_version(account, "blue"), code_version(account, "green")) == ("1", "2")
    assert blue.refresh().by_resource == {}
    of_green = inventory(account, "green")
    assert len(of_green) > 20

    blue.destroy()

    assert blue.state() == []
    assert inventory(account, "blue") == set()
    assert inventory(account, "green") == of_green
    assert code_version(account, "green") == "2"
    assert green.up().by_resource == {}
    green.destroy()
    assert inventory(account, "green") == set()


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
