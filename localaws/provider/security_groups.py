"""EC2: security groups and their rules."""

from typing import Any, ClassVar

from localaws.provider.aws import Aws
from localaws.provider.network import Ec2Handler
from localaws.provider.resource import from_aws, tag_map, to_aws
from localaws.provider.wire import Props

_ANYWHERE = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
"""The egress rule that EC2 gives to every new group."""


class SecurityGroup(Ec2Handler):
    """A security group; its rules are resources of their own."""

    kind = "security-group"
    required = ("name", "vpcId")
    optional = ("description",)
    defaults: ClassVar = {"description": "Managed by Pulumi"}
    outputs = ("arn", "ownerId")

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateSecurityGroup."""
        names = {"name": "GroupName", "description": "Description", "vpcId": "VpcId"}
        request = {**to_aws(names, inputs), **self.tag_specification(inputs)}
        return str(aws.client("ec2").create_security_group(**request)["GroupId"])

    def finish(self, aws: Aws, resource_id: str, inputs: Props) -> None:
        """Remove EC2's allow-all egress rule, as the real provider does.

        https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ec2/vpc_security_group.go
        (resourceSecurityGroupCreate: "AWS defaults all Security Groups to have an ALLOW ALL egress
        rule").
        """
        ec2 = aws.client("ec2")
        found = ec2.describe_security_groups(GroupIds=[resource_id])["SecurityGroups"][0]
        if any(_allows_all(rule) for rule in found["IpPermissionsEgress"]):
            ec2.revoke_security_group_egress(GroupId=resource_id, IpPermissions=[_ANYWHERE])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeSecurityGroups."""
        answer = aws.client("ec2").describe_security_groups(GroupIds=[resource_id])
        found = answer["SecurityGroups"][0]
        names = {
            "name": "GroupName",
            "description": "Description",
            "vpcId": "VpcId",
            "ownerId": "OwnerId",
        }
        return {**self.common(aws, resource_id, found), **from_aws(names, found)}

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteSecurityGroup."""
        ec2 = aws.client("ec2")
        self.delete_unused(aws, resource_id, lambda: ec2.delete_security_group(GroupId=resource_id))


def _allows_all(rule: dict[str, Any]) -> bool:
    ranges = [one["CidrIp"] for one in rule["IpRanges"]]
    return rule["IpProtocol"] == "-1" and "0.0.0.0/0" in ranges


class _Rule(Ec2Handler):
    """One rule. All but the group can change in place (ModifySecurityGroupRules)."""

    kind = "security-group-rule"
    direction: ClassVar[str]
    required = ("securityGroupId", "ipProtocol")
    optional = ("cidrIpv4", "description", "fromPort", "referencedSecurityGroupId", "toPort")
    outputs = ("arn", "securityGroupRuleId")
    remembered = ("description",)  # moto loses it where the source is a group

    def create(self, aws: Aws, inputs: Props) -> str:
        """AuthorizeSecurityGroupIngress or -Egress, with one permission."""
        authorize = getattr(aws.client("ec2"), f"authorize_security_group_{self.direction}")
        answer = authorize(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[_permission(inputs)],
            **self.tag_specification(inputs),
        )
        return str(answer["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeSecurityGroupRules."""
        found = aws.client("ec2").describe_security_group_rules(SecurityGroupRuleIds=[resource_id])
        if not found["SecurityGroupRules"]:
            return None
        rule = found["SecurityGroupRules"][0]
        names = {
            "securityGroupId": "GroupId",
            "securityGroupRuleId": "SecurityGroupRuleId",
            "ipProtocol": "IpProtocol",
            "cidrIpv4": "CidrIpv4",
            "description": "Description",
        }
        return {
            "arn": rule.get("SecurityGroupRuleArn") or aws.arn("ec2", f"{self.kind}/{resource_id}"),
            **from_aws(names, rule),
            # EC2 answers -1 where a protocol has no ports.
            **{k: v for k, v in _ports(rule).items() if v != -1 or k in state},
            "referencedSecurityGroupId": rule.get("ReferencedGroupInfo", {}).get("GroupId"),
            "tags": tag_map(rule.get("Tags")),
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """ModifySecurityGroupRules."""
        names = {
            "ipProtocol": "IpProtocol",
            "fromPort": "FromPort",
            "toPort": "ToPort",
            "cidrIpv4": "CidrIpv4",
            "referencedSecurityGroupId": "ReferencedGroupId",
            "description": "Description",
        }
        rule = {"SecurityGroupRuleId": resource_id, "SecurityGroupRule": to_aws(names, new)}
        aws.client("ec2").modify_security_group_rules(
            GroupId=new["securityGroupId"], SecurityGroupRules=[rule]
        )

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """RevokeSecurityGroupIngress or -Egress, by rule id."""
        revoke = getattr(aws.client("ec2"), f"revoke_security_group_{self.direction}")
        revoke(GroupId=state["securityGroupId"], SecurityGroupRuleIds=[resource_id])


class IngressRule(_Rule):
    """A rule for traffic to the group's members."""

    direction = "ingress"


class EgressRule(_Rule):
    """A rule for traffic from the group's members."""

    direction = "egress"


def _ports(rule: dict[str, Any]) -> Props:
    return from_aws({"fromPort": "FromPort", "toPort": "ToPort"}, rule)


def _permission(inputs: Props) -> dict[str, Any]:
    names = {"ipProtocol": "IpProtocol", "fromPort": "FromPort", "toPort": "ToPort"}
    permission = to_aws(names, inputs)
    described = to_aws({"description": "Description"}, inputs)
    if "cidrIpv4" in inputs:
        permission["IpRanges"] = [{"CidrIp": inputs["cidrIpv4"], **described}]
    else:
        group = {"GroupId": inputs["referencedSecurityGroupId"], **described}
        permission["UserIdGroupPairs"] = [group]
    return permission
