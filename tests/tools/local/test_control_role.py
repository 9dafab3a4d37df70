"""The role of webserver and daemon in `make up`."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError

from localaws.account import LocalAccount
from tests.localaws.roles import document
from tools.local.account import Account
from tools.local.control_role import NAME, as_control_plane


def test_it_may_do_what_the_launcher_s_policies_say_and_no_more(
    local_account: LocalAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    iam = local_account.client("iam")
    policy = iam.create_policy(
        PolicyName="run-isolation-local-launcher",
        PolicyDocument=document({"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"}),
    )["Policy"]["Arn"]
    root = Account(
        pid=1,
        endpoint_url=local_account.endpoint_url,
        provider_port=1,
        dns=local_account.dns,
        environment=local_account.environment(),
    )
    # A second `make up` finds the role.
    for account in (as_control_plane(root), as_control_plane(root)):
        assert not {"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"} & account.environment.keys()
        for name, value in account.environment.items():
            monkeypatch.setenv(name, value)
        ecs = boto3.Session(region_name="us-east-1").client("ecs")
        assert "clusterArns" in ecs.list_clusters()
        with pytest.raises(ClientError, match=f"assumed-role/{NAME}/control-plane is not auth"):
            ecs.list_tasks()
    iam.detach_role_policy(RoleName=NAME, PolicyArn=policy)
    iam.delete_policy(PolicyArn=policy)
    iam.delete_role(RoleName=NAME)
