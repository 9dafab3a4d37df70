import copy
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from tests.infra.program import CONFIG, TAGS, Cloud, Engine, changed, default, run

UNTAGGED = {
    "dynamodb/tableItem",
    "ec2/route",
    "ec2/routeTableAssociation",
    "ecs/clusterCapacityProviders",
    "iam/rolePolicy",
    "iam/rolePolicyAttachment",
    "s3/bucketLifecycleConfiguration",
    "s3/bucketPolicy",
    "s3/bucketPublicAccessBlock",
    "s3/bucketServerSideEncryptionConfiguration",
}
"""Types that have no tags in AWS."""


def test_urns_are_what_they_were() -> None:
    """Another type or name of a resource, or of its parent, replaces it in every deployment.

    So whoever changes urns.txt gives the resource an alias, too.
    """
    recorded = Path(__file__).with_name("urns.txt").read_text().splitlines()
    urns = (one.urn.split("::", 2)[2] for one in default().resources)
    assert sorted(urn.replace("run-isolation:index:", "") for urn in urns) == recorded


def test_everything_is_tagged() -> None:
    for one in default().resources:
        kind = one.type.split(":")[1]
        if one.type.startswith("aws:") and kind not in UNTAGGED:
            assert one.inputs["tags"].items() >= TAGS.items(), one.urn


def test_parts_of_a_location_say_so() -> None:
    for one in default().resources:
        if one.name.startswith("sales") and "tags" in one.inputs:
            assert one.inputs["tags"]["run-isolation:code-location"] == "sales", one.urn


def test_nothing_depends_on_settings_of_the_provider() -> None:
    for one in default().resources:
        assert not one.request.provider
        assert "region" not in one.inputs


def test_names_of_two_stacks_never_meet() -> None:
    first, second = (explicit_names(run(stack=stack).by_urn()) for stack in ("prod", "prod2"))
    assert len(first) == len(second)
    assert not first & second


def explicit_names(resources: dict[str, dict[str, Any]]) -> set[tuple[str, str]]:
    """Names that must differ within an account: a service's is unique in its cluster."""
    return {
        (urn.split("$")[-1].split("::")[0], str(inputs[key]))
        for urn, inputs in resources.items()
        for key in ("name", "family", "bucket")
        if key in inputs
        and not str(inputs[key]).endswith("-id")
        and not any(kind in urn for kind in ("ecs/service:", "servicediscovery/service:"))
    }


def test_outputs() -> None:
    outputs = copy.deepcopy(default().outputs)
    assert json.loads(outputs.pop("manifest"))["deployment"] == "prod"
    assert outputs == {
        "manifestParameter": "/run-isolation/prod/manifest",
        "cluster": "arn:cluster",
        "table": "run-isolation-prod-slots",
        "launcherPolicyArns": ["arn:launcher", "arn:launcher-roles"],
        "clientSecurityGroup": "clients-id",
        "vpc": "vpc-id",
        "subnets": ["private-1-id", "private-2-id"],
        "computeLogsBucket": "run-isolation-prod-compute-logs-123456789012",
        "outputsBucket": "run-isolation-prod-outputs-123456789012",
        "codeLocations": {
            name: {
                "host": f"{host}.prod.run-isolation.internal",
                "service": f"arn:{name}",
                "standingTaskDefinition": f"arn:{name}-standing",
                "isolatedTaskDefinition": f"arn:{name}-isolated",
            }
            for name, host in (("sales", "sales"), ("research_lab", "research-lab"))
        },
    }


def test_a_bad_config_registers_nothing_and_ends_in_plain_words() -> None:
    cloud = Cloud()
    with pytest.raises(pulumi.RunError, match="1 problem in the config of stack prod") as refused:
        run(changed(protect="yes"), cloud=cloud)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("version", ["3.237.9", "3.182.0"])
def test_an_engine_that_only_warns_of_a_failed_hook_is_refused(version: str) -> None:
    cloud = Cloud()
    with pytest.raises(pulumi.RunError) as refused:
        run(cloud=cloud, engine=Engine(version))
    said = str(refused.value)
    assert said.startswith(f'Pulumi CLI version {version} does not satisfy the version range ">=3.')
    assert "needs the Pulumi CLI 3.238.0 or newer" in said
    assert refused.value.__suppress_context__
    assert cloud.calls == []


def test_the_last_step_remembers_what_each_service_came_up_with() -> None:
    resources = default().resources
    [record] = [one for one in resources if one.type == "pulumi:index:Stash"]
    assert list(record.request.hooks.before_create) == ["wait-until-healthy"]
    assert list(record.request.hooks.before_update) == ["wait-until-healthy"]
    assert record.inputs["input"]["sales"] == {
        "name": "sales",
        "cluster": "arn:aws:ecs:eu-west-1:123456789012:cluster/run-isolation-prod",
        "taskDefinition": "arn:sales-standing",
    }
    # A location that leaves the config must not leave a dependency behind; the order is kept.
    assert not record.request.dependencies
    assert not any(one.urns for one in record.request.propertyDependencies.values())
    before = " ".join(one.urn for one in resources[: resources.index(record)])
    for suffix in (
        "TableItem::settings",
        "TableItem::instance",
        "BucketPolicy::outputs",
        "Parameter::manifest",
        "Policy::launcher",
        "BucketPolicy::compute-logs",
        "Service::sales",
    ):
        assert suffix in before


def test_secrets_in_the_config_stay_secret() -> None:
    config = changed(instance={"databaseUrlSecretArn": "hunter2"})
    with pytest.raises(pulumi.RunError) as refused:
        run(config, secret=("run-isolation:instance",))
    assert "hunter2" not in str(refused.value)


def test_two_runs_register_the_same() -> None:
    assert run(CONFIG).by_urn() == default().by_urn()
