"""IAM: roles, their policies, and managed policies."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from localaws.provider.aws import Aws
from localaws.provider.resource import Handler, from_aws, tag_list, tag_map, to_aws
from localaws.provider.same_value import as_policy
from localaws.provider.wire import Props

_MAX_VERSIONS = 5
"""Versions of a managed policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


class Role(Handler):
    """A role. Its id is its name."""

    required = ("name", "assumeRolePolicy")
    optional = ("description",)
    outputs = ("arn", "uniqueId")
    same: ClassVar = {"assumeRolePolicy": as_policy}
    regional = False

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateRole."""
        names = {
            "name": "RoleName",
            "assumeRolePolicy": "AssumeRolePolicyDocument",
            "description": "Description",
        }
        tags = tag_list(inputs.get("tags", {}))
        aws.client("iam").create_role(**to_aws(names, inputs), Tags=tags)
        return str(inputs["name"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """GetRole."""
        found = aws.client("iam").get_role(RoleName=resource_id)["Role"]
        names = {
            "name": "RoleName",
            "description": "Description",
            "arn": "Arn",
            "uniqueId": "RoleId",
        }
        return {
            **from_aws(names, found),
            "assumeRolePolicy": _text(found["AssumeRolePolicyDocument"]),
            "tags": tag_map(found.get("Tags")),
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """UpdateRole and UpdateAssumeRolePolicy."""
        iam = aws.client("iam")
        if "assumeRolePolicy" in changed:
            iam.update_assume_role_policy(
                RoleName=resource_id, PolicyDocument=new["assumeRolePolicy"]
            )
        if "description" in changed:
            iam.update_role(RoleName=resource_id, Description=new.get("description", ""))

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteRole."""
        aws.client("iam").delete_role(RoleName=resource_id)

    def retag(self, aws: Aws, state: Props, removed: list[str], tags: Mapping[str, str]) -> None:
        """TagRole and UntagRole."""
        iam = aws.client("iam")
        if removed:
            iam.untag_role(RoleName=state["name"], TagKeys=removed)
        if tags:
            iam.tag_role(RoleName=state["name"], Tags=tag_list(tags))


class RolePolicy(Handler):
    """A policy inside a role. Its id is `<role>:<name>`."""

    required = ("name", "role", "policy")
    same: ClassVar = {"policy": as_policy}
    regional = False
    tagged = False

    def create(self, aws: Aws, inputs: Props) -> str:
        """PutRolePolicy."""
        self.update(aws, "", {}, inputs, {"policy"})
        return f"{inputs['role']}:{inputs['name']}"

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """GetRolePolicy."""
        role, name = resource_id.split(":", 1)
        found = aws.client("iam").get_role_policy(RoleName=role, PolicyName=name)
        return {"name": name, "role": role, "policy": _text(found["PolicyDocument"])}

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """PutRolePolicy over the old one."""
        aws.client("iam").put_role_policy(
            RoleName=new["role"], PolicyName=new["name"], PolicyDocument=new["policy"]
        )

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteRolePolicy."""
        role, name = resource_id.split(":", 1)
        aws.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


class RolePolicyAttachment(Handler):
    """A managed policy attached to a role. Its id is `<role>/<policy ARN>`."""

    required = ("role", "policyArn")
    regional = False
    tagged = False

    def create(self, aws: Aws, inputs: Props) -> str:
        """AttachRolePolicy."""
        role, arn = inputs["role"], inputs["policyArn"]
        aws.client("iam").attach_role_policy(RoleName=role, PolicyArn=arn)
        return f"{role}/{arn}"

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """Look for the policy in ListAttachedRolePolicies."""
        role, arn = resource_id.split("/", 1)
        pages = aws.client("iam").get_paginator("list_attached_role_policies")
        for page in pages.paginate(RoleName=role):
            if any(one["PolicyArn"] == arn for one in page["AttachedPolicies"]):
                return {"role": role, "policyArn": arn}
        return None

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DetachRolePolicy."""
        role, arn = resource_id.split("/", 1)
        aws.client("iam").detach_role_policy(RoleName=role, PolicyArn=arn)


class Policy(Handler):
    """A managed policy. Its id is its ARN."""

    required = ("name", "policy")
    optional = ("description",)
    outputs = ("arn", "policyId")
    same: ClassVar = {"policy": as_policy}
    regional = False

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreatePolicy."""
        names = {"name": "PolicyName", "policy": "PolicyDocument", "description": "Description"}
        tags = tag_list(inputs.get("tags", {}))
        answer = aws.client("iam").create_policy(**to_aws(names, inputs), Tags=tags)
        return str(answer["Policy"]["Arn"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """GetPolicy and its default version."""
        iam = aws.client("iam")
        found = iam.get_policy(PolicyArn=resource_id)["Policy"]
        version = iam.get_policy_version(
            PolicyArn=resource_id, VersionId=found["DefaultVersionId"]
        )["PolicyVersion"]
        names = {
            "name": "PolicyName",
            "description": "Description",
            "arn": "Arn",
            "policyId": "PolicyId",
        }
        return {
            **from_aws(names, found),
            "policy": _text(version["Document"]),
            "tags": tag_map(found.get("Tags")),
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """CreatePolicyVersion, after the oldest has made room."""
        iam = aws.client("iam")
        spare = _spare_versions(iam, resource_id)
        if len(spare) + 1 >= _MAX_VERSIONS:
            iam.delete_policy_version(PolicyArn=resource_id, VersionId=spare[0])
        iam.create_policy_version(
            PolicyArn=resource_id, PolicyDocument=new["policy"], SetAsDefault=True
        )

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeletePolicy, after its other versions."""
        iam = aws.client("iam")
        for version in _spare_versions(iam, resource_id):
            iam.delete_policy_version(PolicyArn=resource_id, VersionId=version)
        iam.delete_policy(PolicyArn=resource_id)

    def retag(self, aws: Aws, state: Props, removed: list[str], tags: Mapping[str, str]) -> None:
        """TagPolicy and UntagPolicy."""
        iam = aws.client("iam")
        if removed:
            iam.untag_policy(PolicyArn=state["arn"], TagKeys=removed)
        if tags:
            iam.tag_policy(PolicyArn=state["arn"], Tags=tag_list(tags))


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document, sort_keys=True)


def _spare_versions(iam: Any, arn: str) -> list[str]:
    """Versions that are not the default one, oldest first."""
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    spare = [one for one in versions if not one["IsDefaultVersion"]]
    return [one["VersionId"] for one in sorted(spare, key=lambda one: one["CreateDate"])]
