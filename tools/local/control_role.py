"""The role of webserver and daemon, as docs/real-account.md tells its reader to make it."""

from __future__ import annotations

import json
from typing import Any, Final

import requests

from tools.local.account import Account
from tools.local.engine import STACK

NAME: Final = f"run-isolation-{STACK}-control-plane"
_POLICIES: Final = f"run-isolation-{STACK}-launcher"
"""What the names of the policies in the stack's output `launcherPolicyArns` begin with."""


def as_control_plane(account: Account) -> Account:
    """The account for processes that may do what the role may, and no more."""
    iam = account.session.client("iam", endpoint_url=account.endpoint_url)
    session = requests.post(
        f"{account.endpoint_url}/_localaws/sessions",
        json={"role": _ensure_role(iam), "name": "control-plane"},
        headers={"X-Amz-Security-Token": account.environment["AWS_SESSION_TOKEN"]},
        timeout=10,
    )
    session.raise_for_status()
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    own = {name: value for name, value in account.environment.items() if name not in keys}
    return account.model_copy(update={"environment": {**own, **session.json()}})


def _ensure_role(iam: Any) -> str:
    """Make the role where there is none, and attach the stack's policies; its ARN."""
    try:
        arn = str(iam.get_role(RoleName=NAME)["Role"]["Arn"])
    except iam.exceptions.NoSuchEntityException:
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    # Wherever your webserver and daemon run: on EC2, here.
                    "Principal": {"Service": "ec2.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        created = iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps(trust))
        arn = str(created["Role"]["Arn"])
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        if policy["PolicyName"].startswith(_POLICIES):
            iam.attach_role_policy(RoleName=NAME, PolicyArn=policy["Arn"])
    return arn
