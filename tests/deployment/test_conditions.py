"""An `up` and launches in an account with AWS's quotas, in which changes are in force later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from localaws.account import LocalAccount
from localaws.conditions import Conditions
from localaws.faults import SlowTask
from run_isolation import IsolatedLaunch, Manifest, launch_isolated
from run_isolation.isolated.retries import Outcome, ask
from run_isolation.isolated.run_task_answers import DENIED, QUOTA, UNSETTLED
from tests.deployment.conftest import MakeStack, config
from tests.deployment.served import code_version
from tests.localaws.roles import make_role

pytestmark = pytest.mark.engine

LAG_SECONDS = 3.0
REGISTERED = (
    *("family", "taskRoleArn", "executionRoleArn", "networkMode", "containerDefinitions"),
    *("requiresCompatibilities", "cpu", "memory", "runtimePlatform"),
)


@pytest.fixture
def conditions(account: LocalAccount) -> Iterator[Conditions]:
    usual = account.conditions.model_copy()
    account.conditions.health_lag_seconds = 30
    account.conditions.launches_per_second = 20
    account.conditions.parameters_per_second = 40
    account.conditions.secrets_per_second = 10_000
    account.conditions.iam_lag_seconds = LAG_SECONDS
    account.conditions.definition_lag_seconds = LAG_SECONDS
    # On AWS a task is provisioned for longer than a change of IAM takes; here it takes no time, and
    # ECS would give a service up whose roles are that new.
    slow = account.faults.add(SlowTask(seconds=LAG_SECONDS, times=None))
    yield account.conditions
    account.faults.remove(slow.id)
    account.conditions.change(usual.model_dump_json().encode())


class Launcher:
    """Launches isolated runs as the launcher does, as a session of a role."""

    def __init__(self, account: LocalAccount, role: str, manifest: str, revision: str) -> None:
        keys = account.identities.open(role, "daemon").credentials()
        self._ecs = boto3.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"], region_name=account.region
        ).client("ecs", endpoint_url=account.endpoint_url)
        self._manifest = Manifest.model_validate_json(manifest)
        self._revision = revision

    def launch(self, run: str, wait: Callable[[float], None] = time.sleep) -> Outcome:
        def attempt(number: int) -> str:
            launch = IsolatedLaunch(run, number, location="probe", task_definition=self._revision)
            return launch_isolated(self._ecs, self._manifest, launch)

        outcome = Outcome(1)
        troubles = []
        for _ in range(60):
            outcome = ask(outcome.attempt, attempt, lambda number: None)
            troubles += outcome.troubles
            if outcome.task_arn is not None:
                break
            wait(1)  # sooner than a run that waits
        return replace(outcome, troubles=troubles)


def registered_again(account: LocalAccount, revision: str) -> str:
    """A further revision of a task definition, of this very moment."""
    ecs = account.client("ecs")
    found: dict[str, Any] = ecs.describe_task_definition(taskDefinition=revision)["taskDefinition"]
    same = {key: found[key] for key in REGISTERED if found.get(key)}
    return str(ecs.register_task_definition(**same)["taskDefinition"]["taskDefinitionArn"])


def test_a_new_stack_comes_up_and_its_runs_are_launched_at_once(
    make_stack: MakeStack, account: LocalAccount, conditions: Conditions, tmp_path: Path
) -> None:
    stack = make_stack("unkind")
    stack.write(config(tmp_path))
    outputs = stack.up().outputs
    assert code_version(account, "unkind") == "1"

    iam = account.client("iam")
    role = make_role(iam, "unkind-daemon")
    time.sleep(LAG_SECONDS)
    for arn in outputs["launcherPolicyArns"]:
        iam.attach_role_policy(RoleName="unkind-daemon", PolicyArn=arn)
    isolated = outputs["codeLocations"]["probe"]["isolatedTaskDefinition"]
    denied = Launcher(account, role, outputs["manifest"], isolated).launch("run-1")
    revision = registered_again(account, isolated)
    unknown = Launcher(account, role, outputs["manifest"], revision).launch("run-2")
    conditions.vcpus = 0.25
    full = Launcher(account, role, outputs["manifest"], revision).launch(
        "run-3", wait=lambda seconds: setattr(conditions, "vcpus", None)
    )

    first = [outcome.troubles[0].meaning for outcome in (denied, unknown, full)]
    assert [meaning.says for meaning in first] == [DENIED.says, UNSETTLED.says, QUOTA.says]
    for outcome in (denied, unknown, full):
        assert outcome.task_arn is not None
        # Dagster knows no such runs, so their workers end by themselves.
        account.task(outcome.task_arn).wait_for("STOPPED", 30)
    for arn in outputs["launcherPolicyArns"]:
        iam.detach_role_policy(RoleName="unkind-daemon", PolicyArn=arn)
    stack.destroy()
