import json
from typing import Any

import pytest

from infra import containers
from tests.infra.program import TAGS, Program, changed, default, deployment, run


def tags(location: str) -> dict[str, str]:
    return {**TAGS, "run-isolation:code-location": location}


def task_definition(location: str, kind: str, **sizes: Any) -> dict[str, Any]:
    return {
        "family": f"run-isolation-prod-{location}-{kind}",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
        "executionRoleArn": f"arn:{location}-execution",
        "taskRoleArn": f"arn:{location}-{kind}",
        "skipDestroy": True,
        "tags": tags(location),
        **sizes,
    }


def test_isolated_task_definition() -> None:
    assert default().inputs("ecs/taskDefinition", "sales-isolated") == task_definition(
        "sales",
        "isolated",
        cpu="4096",
        memory="16384",
        containerDefinitions=containers.isolated(deployment(), "sales"),
    )


def test_standing_task_definition_advertises_the_isolated_revision() -> None:
    definition = default().inputs("ecs/taskDefinition", "sales-standing")
    text = containers.standing(deployment(), "sales", "arn:sales-isolated")
    assert definition == task_definition(
        "sales", "standing", cpu="256", memory="1024", containerDefinitions=text
    )


def test_configured_sizes_and_platform() -> None:
    platform = {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}
    isolated = dict(default().inputs("ecs/taskDefinition", "research_lab-isolated"))
    standing = dict(default().inputs("ecs/taskDefinition", "research_lab-standing"))
    for definition in (isolated, standing):
        del definition["containerDefinitions"]
    assert isolated == task_definition(
        "research_lab",
        "isolated",
        cpu="8192",
        memory="32768",
        ephemeralStorage={"sizeInGib": 100},
        runtimePlatform=platform,
    )
    assert standing == task_definition(
        "research_lab", "standing", cpu="512", memory="2048", runtimePlatform=platform
    )


@pytest.mark.parametrize(
    ("location", "host"), [("sales", "sales"), ("research_lab", "research-lab")]
)
def test_host_in_the_private_dns(location: str, host: str) -> None:
    assert default().inputs("servicediscovery/service", location) == {
        "name": host,
        "description": f"run-isolation: standing containers of code location {location}",
        "dnsConfig": {
            "namespaceId": "namespace-id",
            "routingPolicy": "MULTIVALUE",
            "dnsRecords": [{"type": "A", "ttl": 10}],
        },
        "healthCheckCustomConfig": {"failureThreshold": 1},
        "forceDestroy": True,
        "tags": tags(location),
    }


def test_service() -> None:
    assert default().inputs("ecs/service", "sales") == {
        "name": "sales",
        "cluster": "arn:cluster",
        "taskDefinition": "arn:sales-standing",
        "desiredCount": 1,
        "launchType": "FARGATE",
        "networkConfiguration": {
            "subnets": ["private-1-id", "private-2-id"],
            "securityGroups": ["standing-id"],
            "assignPublicIp": False,
        },
        "serviceRegistries": {"registryArn": "arn:sales"},
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "deploymentMinimumHealthyPercent": 100,
        "deploymentMaximumPercent": 200,
        "availabilityZoneRebalancing": "DISABLED",
        "enableEcsManagedTags": True,
        "propagateTags": "SERVICE",
        "enableExecuteCommand": False,
        "waitForSteadyState": False,
        "tags": tags("sales"),
    }


def test_service_waits_for_the_network_and_the_permissions_of_its_tasks() -> None:
    needed = " ".join(default().one("ecs/service", "sales").request.dependencies)
    for suffix in (
        "::private-1-internet",
        "::standing-from-clients",
        "RolePolicy::sales-execution",
    ):
        assert suffix in needed


def test_a_service_is_noted_and_waited_for_at_the_end() -> None:
    hooks = default().one("ecs/service", "sales").request.hooks
    assert list(hooks.before_create) == ["remove-leftover"]
    assert list(hooks.after_create) == list(hooks.after_update) == ["note-rollout"]


def test_task_definitions_outlive_the_log_group_in_no_case() -> None:
    needed = list(default().one("ecs/taskDefinition", "sales-isolated").request.dependencies)
    assert any("LogGroup::sales" in urn for urn in needed)


def differing(before: Program, after: Program) -> set[str]:
    old, new = before.by_urn(), after.by_urn()
    return {urn.split("$")[-1] for urn in old.keys() | new.keys() if old.get(urn) != new.get(urn)}


def test_another_limit_changes_one_item() -> None:
    settings = {"non_isolated_runs": {"enabled": True, "max_concurrent_non_isolated_runs": 3}}
    after = run(changed(deploymentSettings=settings))
    assert differing(default(), after) == {"aws:dynamodb/tableItem:TableItem::settings"}


def test_another_image_changes_the_task_definitions_of_its_location() -> None:
    locations = json.loads(json.dumps(changed()["run-isolation:codeLocations"]))
    locations["sales"]["image"] = locations["sales"]["image"].replace("1.4.2", "1.5.0")
    assert differing(default(), run(changed(codeLocations=locations))) == {
        "aws:ecs/taskDefinition:TaskDefinition::sales-standing",
        "aws:ecs/taskDefinition:TaskDefinition::sales-isolated",
    }


def test_a_location_more_leaves_the_others_alone() -> None:
    locations = {**changed()["run-isolation:codeLocations"], "more": {"image": "m", "module": "m"}}
    changes = differing(default(), run(changed(codeLocations=locations)))
    shared = {change for change in changes if not change.split("::")[1].startswith("more")}
    assert shared == {
        "aws:iam/policy:Policy::launcher",
        "aws:iam/policy:Policy::launcher-roles",
        "aws:ssm/parameter:Parameter::manifest",
        "pulumi:index:Stash::rolled-out",
    }
