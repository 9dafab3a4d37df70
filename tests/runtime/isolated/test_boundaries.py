"""A code location's runs are refused what is another's, before ECS is asked."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from run_isolation import IsolatedLaunch, LaunchTagsError, Manifest, Retry
from run_isolation.errors import ForeignTaskDefinitionError
from run_isolation.isolated.run_task import request
from run_isolation.problem import Problem
from tests.runtime.manifests import MANIFEST

SALES = MANIFEST.locations["sales"]
NETWORK = MANIFEST.network.model_copy(update={"clients_group": "sg-clients"})
DEPLOYED = MANIFEST.model_copy(
    update={
        "network": NETWORK,
        "locations": {
            "sales": SALES.model_copy(update={"location_name": "Sales team"}),
            "sales-2": SALES,
            "research": SALES,
        },
    }
)
REVISION = "arn:aws:ecs:us-east-1:123456789012:task-definition/run-isolation-test-sales-isolated:7"
LAUNCH = IsolatedLaunch("run-a", 1, "Sales team", REVISION)
ROLE = "arn:aws:iam::123456789012:role/"
OURS = f"{ROLE}run-isolation-test-"


def asking(manifest: Manifest = DEPLOYED, **tags: Any) -> dict[str, Any]:
    texts = {f"ecs/{name}": json.dumps(value) for name, value in tags.items()}
    return request(manifest, dataclasses.replace(LAUNCH, tags=texts))


def problem(manifest: Manifest = DEPLOYED, **tags: Any) -> Problem:
    with pytest.raises(LaunchTagsError) as refused:
        asking(manifest, **tags)
    [one] = refused.value.problems
    return one


@pytest.mark.parametrize(
    ("name", "arn"),
    [
        ("taskRoleArn", f"{OURS}research-isolated"),
        ("taskRoleArn", f"{OURS}sales-2-isolated"),
        ("taskRoleArn", f"{OURS}sales-execution"),
        ("taskRoleArn", f"{OURS}sales-standing"),
        ("taskRoleArn", f"{OURS}RESEARCH-isolated"),
        ("taskRoleArn", "run-isolation-test-research-isolated"),
        (
            "taskRoleArn",
            "arn:aws:iam::123456789012:role/a/path/Run-Isolation-Test-research-isolated",
        ),
        ("executionRoleArn", f"{OURS}research-execution"),
        ("executionRoleArn", f"{OURS}sales-isolated"),
    ],
)
def test_roles_of_others(name: str, arn: str) -> None:
    refused = problem(task_overrides={name: arn})
    actor = {"taskRoleArn": "isolated", "executionRoleArn": "execution"}[name]
    assert (refused.key, refused.value) == (f"ecs/task_overrides.{name}", arn)
    assert f"run-isolation-test-sales-{actor}, or a role of yours" in refused.allowed
    assert str(refused.nearest).endswith(f"run-isolation-test-sales-{actor}")


def test_its_own_roles_and_those_of_the_user() -> None:
    roles = {
        "taskRoleArn": f"{OURS}sales-isolated",
        "executionRoleArn": f"{ROLE}teams/pulls-images",
    }
    assert asking(task_overrides=roles)["overrides"].items() >= roles.items()
    other_stack = {"taskRoleArn": f"{ROLE}run-isolation-test2-sales-isolated"}
    # Of another stack: IAM has not given launchers that one.
    assert asking(task_overrides=other_stack)["overrides"].items() >= other_stack.items()


def network(**vpc: Any) -> dict[str, Any]:
    return {"networkConfiguration": {"awsvpcConfiguration": vpc}}


VPC = "ecs/run_task_kwargs.networkConfiguration.awsvpcConfiguration"


def test_the_group_of_webserver_and_daemon() -> None:
    refused = problem(run_task_kwargs=network(securityGroups=["sg-own", "sg-clients"]))
    assert (refused.key, refused.value) == (f"{VPC}.securityGroups", "sg-clients")
    assert "opens the ports of every standing container" in refused.allowed
    sent = asking(run_task_kwargs=network(securityGroups=["sg-own"]))
    assert sent["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"] == ["sg-own"]


def test_no_group_but_our_own_while_it_is_not_known_which_that_is() -> None:
    """An older `pulumi up` has written the manifest."""
    older = DEPLOYED.model_copy(update={"network": MANIFEST.network})
    refused = problem(older, run_task_kwargs=network(securityGroups=["sg-1", "sg-own"]))
    assert refused.value == "sg-own"
    assert refused.allowed.startswith("sg-1, until `pulumi up` of this release has said")
    assert asking(older, run_task_kwargs=network(securityGroups=["sg-1"]))


def test_a_public_address() -> None:
    refused = problem(run_task_kwargs=network(assignPublicIp="ENABLED"))
    assert (refused.key, refused.nearest) == (f"{VPC}.assignPublicIp", "DISABLED")
    public = NETWORK.model_copy(update={"assign_public_ip": True})
    deployed = DEPLOYED.model_copy(update={"network": public})
    for said in ("ENABLED", "DISABLED"):
        sent = asking(deployed, run_task_kwargs=network(assignPublicIp=said))
        assert sent["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == said


def test_a_group_that_looks_like_a_service() -> None:
    refused = problem(run_task_kwargs={"group": "service:research"})
    assert refused.key == "ecs/run_task_kwargs.group"
    assert asking(run_task_kwargs={"group": "nightly"})["group"] == "nightly"


def test_all_problems_at_once() -> None:
    with pytest.raises(LaunchTagsError) as refused:
        asking(
            task_overrides={"taskRoleArn": f"{OURS}research-isolated"},
            run_task_kwargs={
                "taskDefinition": "other",
                **network(assignPublicIp="ENABLED", securityGroups=["sg-clients"]),
            },
        )
    assert len(refused.value.problems) >= 2


def test_a_task_definition_by_tag() -> None:
    refused = problem(run_task_kwargs={"taskDefinition": REVISION})
    assert refused.key == "ecs/run_task_kwargs.taskDefinition"


@pytest.mark.parametrize(
    "family", ["research-isolated", "sales-2-isolated", "sales-standing", "sales-isolated-2"]
)
def test_a_task_definition_that_the_code_server_advertised_and_is_another_s(family: str) -> None:
    foreign = REVISION.replace("sales-isolated", family)
    with pytest.raises(ForeignTaskDefinitionError) as refused:
        request(DEPLOYED, dataclasses.replace(LAUNCH, task_definition=foreign))
    assert refused.value.retry is Retry.NEVER
    for said in ("run-a", foreign, "run-isolation-test-sales-isolated", "--container-context"):
        assert said in str(refused.value)
