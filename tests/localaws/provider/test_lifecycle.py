"""Check, diff and preview, without an engine."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from localaws.provider.lifecycle import check, diff, inputs_of, preview
from localaws.provider.resource_types import TYPES

LOGS = TYPES["aws:cloudwatch/logGroup:LogGroup"]
ROLE = TYPES["aws:iam/role:Role"]
SUBNET = TYPES["aws:ec2/subnet:Subnet"]
REGISTRY = TYPES["aws:servicediscovery/service:Service"]
INGRESS = TYPES["aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"]
PARAMETER = TYPES["aws:ssm/parameter:Parameter"]


def dns(**changes: Any) -> dict[str, Any]:
    records = [{"type": changes.pop("type", "A"), "ttl": changes.pop("ttl", 10)}]
    return {"dnsConfig": {"namespaceId": "ns", "dnsRecords": records, **changes}}


def test_check_fills_in_what_the_real_provider_does() -> None:
    inputs, problems = check(LOGS, {"name": "x"}, "eu-west-1")
    assert inputs == {"name": "x", "retentionInDays": 0, "region": "eu-west-1"}
    assert not problems
    inputs, _ = check(REGISTRY, {"name": "x", **dns()}, "eu-west-1")
    assert inputs["dnsConfig"]["routingPolicy"] == "MULTIVALUE"


def test_check_suggests_the_nearest_property() -> None:
    _, [problem] = check(LOGS, {"name": "x", "retentionDays": 7}, "eu-west-1")
    assert problem.name == "retentionDays"
    assert "Did you mean retentionInDays? It knows: name, region," in problem.reason


def test_check_gives_no_region_to_what_has_none() -> None:
    inputs, _ = check(ROLE, {"name": "x", "assumeRolePolicy": "{}"}, "eu-west-1")
    assert "region" not in inputs


def test_check_takes_unknown_values_as_they_are() -> None:
    inputs, problems = check(REGISTRY, {"name": UNKNOWN, "dnsConfig": UNKNOWN}, "eu-west-1")
    assert inputs["dnsConfig"] == UNKNOWN
    assert not problems


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({}, {}, {}),
        ({"retentionInDays": 7}, {"retentionInDays": 30}, {"retentionInDays": False}),
        ({"name": "a"}, {"name": "b"}, {"name": True}),
        ({"name": "a"}, {"name": UNKNOWN}, {"name": True}),
        ({"tags": {"a": "b"}}, {"tags": {"a": UNKNOWN}}, {"tags": False}),
        ({"tags": {"a": "b"}}, {}, {"tags": False}),
    ],
)
def test_diff(old: dict[str, Any], new: dict[str, Any], changed: dict[str, bool]) -> None:
    assert diff(LOGS, old, old, new).changed == changed


def test_diff_leaves_alone_what_the_program_never_set() -> None:
    state = {"vpcId": "v", "cidrBlock": "c", "availabilityZone": "z"}
    inputs = {"vpcId": "v", "cidrBlock": "c"}
    assert not diff(SUBNET, state, inputs, inputs).changed
    # Nor what it leaves to AWS from now on.
    assert not diff(SUBNET, state, state, inputs).changed


def test_diff_honours_ignored_changes() -> None:
    old, new = {"availabilityZone": "a"}, {"availabilityZone": "b"}
    assert diff(SUBNET, old, old, new).changed == {"availabilityZone": True}
    assert not diff(SUBNET, old, old, new, ["availabilityZone"]).changed


@pytest.mark.parametrize(
    ("change", "replaces"),
    [
        ({"ttl": 20}, False),
        ({"type": "AAAA"}, True),
        ({"routingPolicy": "WEIGHTED"}, True),
        ({"namespaceId": UNKNOWN}, True),
    ],
)
def test_diff_replaces_for_some_fields_of_a_block(change: dict[str, Any], replaces: bool) -> None:
    found = diff(REGISTRY, dns(), dns(), dns(**change))
    assert found.changed == {"dnsConfig": replaces}
    assert found.delete_first == replaces  # the name stays


def test_diff_replaces_a_rule_whose_source_becomes_one_of_another_kind() -> None:
    old = {"cidrIpv4": "10.0.0.0/8", "fromPort": 1}
    wider = diff(INGRESS, old, old, {"cidrIpv4": "10.0.0.0/7", "fromPort": 2})
    assert wider.changed == {"cidrIpv4": False, "fromPort": False}
    group = diff(INGRESS, old, old, {"referencedSecurityGroupId": "sg-1", "fromPort": 1})
    assert group.changed == {"cidrIpv4": True, "referencedSecurityGroupId": True}


def test_the_old_resource_stays_until_a_new_name_is_there() -> None:
    assert not diff(LOGS, {"name": "a"}, {"name": "a"}, {"name": "b"}).delete_first


def test_preview_of_a_create_knows_what_the_program_set() -> None:
    assert preview(LOGS, {}, {"name": "x", "tags": {"a": "b"}}) == {
        "name": "x",
        "arn": UNKNOWN,
        "tags": {"a": "b"},
        "tagsAll": {"a": "b"},
    }


def test_preview_of_an_update_keeps_what_does_not_change() -> None:
    old = {"name": "x", "value": "1", "arn": "arn", "version": 1, "tier": "Standard", "id": "x"}
    assert preview(PARAMETER, old, {"name": "x", "value": "2"}) == {
        "name": "x",
        "value": "2",
        "arn": "arn",
        "tier": "Standard",
        "version": UNKNOWN,
        "id": "x",
        "tagsAll": {},
    }


def test_a_refresh_gives_the_inputs_that_were_given() -> None:
    state = {"name": "x", "retentionInDays": 7, "arn": "arn", "tags": {}}
    assert inputs_of(LOGS, state, {"name": "y"}) == {"name": "x"}
    assert inputs_of(LOGS, state, {}) == {"name": "x", "retentionInDays": 7}
