"""Roles for tests."""

from __future__ import annotations

import json
from typing import Any

TASKS = "ecs-tasks.amazonaws.com"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: dict[str, str] | None = None) -> str:
    who = principal or {"Service": TASKS}
    return document({"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"})


def make_role(iam: Any, name: str, *statements: dict[str, Any], trusts: str | None = None) -> str:
    """Make a role that ECS may take on, with these statements; return its ARN."""
    created = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusts or trust())
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
    return str(created["Role"]["Arn"])


def free_role(iam: Any, name: str = "may-do-everything") -> str:
    """The ARN of a role that may do everything, for tests that are about something else."""
    if all(one["RoleName"] != name for one in iam.list_roles()["Roles"]):
        make_role(iam, name, EVERYTHING)
    return str(iam.get_role(RoleName=name)["Role"]["Arn"])
