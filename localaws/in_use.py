"""What AWS does not delete while something depends on it, and moto does.

Roles, clusters, route tables, buckets and Cloud Map's services refuse by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from localaws.calls import Call
from localaws.faults import Error
from localaws.iam.needs.ask import PARTITION


def refusal(call: Call, account_id: str) -> Error | None:
    """Return AWS's error for the deletion of something in use; None for any other call.

    Args:
        call: The call.
        account_id: The caller's account.
    """
    look = _LOOKS.get((call.service, call.operation))
    return look(call.params, account_id, call.region) if look else None


def _policy(params: Mapping[str, Any], account_id: str, region: str) -> Error | None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html."""
    backend: Any = iam_backends[account_id][PARTITION]
    policy = backend.managed_policies.get(params.get("PolicyArn"))
    if policy is None:
        return None
    # moto counts a policy twice that is attached again.
    entities = (backend.roles, backend.users, backend.groups)
    if any(policy.arn in one.managed_policies for kind in entities for one in list(kind.values())):
        return _conflict("Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        return _conflict(
            "This policy has more than one version. Before you delete a policy, you must delete "
            "the policy's versions. The default version is deleted with the policy."
        )
    return None


def _group(params: Mapping[str, Any], account_id: str, region: str) -> Error | None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html."""
    ec2 = ec2_backends[account_id][region]
    group = params.get("GroupId")
    used = any(group == one.id for eni in _interfaces(ec2) for one in eni.group_set)
    if used or group in _referenced(ec2, group):
        return _dependency(f"resource {group} has a dependent object")
    return None


def _subnet(params: Mapping[str, Any], account_id: str, region: str) -> Error | None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSubnet.html."""
    subnet = params.get("SubnetId")
    interfaces = _interfaces(ec2_backends[account_id][region])
    if any(eni.subnet.id == subnet for eni in interfaces):
        return _dependency(f"The subnet '{subnet}' has dependencies and cannot be deleted.")
    return None


def _vpc(params: Mapping[str, Any], account_id: str, region: str) -> Error | None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpc.html."""
    ec2: Any = ec2_backends[account_id][region]
    vpc = params.get("VpcId")
    groups = [one for one in list(ec2.groups[vpc].values()) if one.name != "default"]
    gateways = [one for one in list(ec2.internet_gateways.values()) if _is_of(one.vpc, vpc)]
    if groups or gateways:
        return _dependency(f"The vpc '{vpc}' has dependencies and cannot be deleted.")
    return None


_Look: TypeAlias = Callable[[Mapping[str, Any], str, str], Error | None]

_LOOKS: Final[Mapping[tuple[str, str], _Look]] = {
    ("iam", "DeletePolicy"): _policy,
    ("ec2", "DeleteSecurityGroup"): _group,
    ("ec2", "DeleteSubnet"): _subnet,
    ("ec2", "DeleteVpc"): _vpc,
}


def _interfaces(ec2: Any) -> Iterator[Any]:
    """Yield all network interfaces; moto keeps those of deleted NAT gateways."""
    gone = {one._eni.id for one in list(ec2.nat_gateways.values()) if one.state == "deleted"}
    yield from (eni for eni in list(ec2.enis.values()) if eni.id not in gone)


def _referenced(ec2: Any, group: str | None) -> set[str]:
    """Return the groups that rules of others than `group` name."""
    return {
        source
        for groups in list(ec2.groups.values())
        for one in list(groups.values())
        if one.id != group
        for rule in [*one.ingress_rules, *one.egress_rules]
        if (source := rule.source_group.get("GroupId"))
    }


def _is_of(found: Any, vpc: str | None) -> bool:
    return found is not None and found.id == vpc


def _conflict(message: str) -> Error:
    return Error(service="iam", code="DeleteConflict", message=message, status=409)


def _dependency(message: str) -> Error:
    return Error(service="ec2", code="DependencyViolation", message=message)
