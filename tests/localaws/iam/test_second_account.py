"""A role of another account: taken on where both sides allow it, and then that account's."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from localaws.account import ACCOUNT_ID, LocalAccount
from tests.localaws.roles import document, make_role, trust

OTHER = "111111111111"
READ = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}


def client(account: LocalAccount, service: str, keys: dict[str, str]) -> Any:
    return boto3.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], account.region
    ).client(service, endpoint_url=account.endpoint_url)  # type: ignore[call-overload]


@pytest.fixture
def names(request: pytest.FixtureRequest, local_account: LocalAccount) -> tuple[str, str]:
    """ARNs of a role that nobody trusts, and of one of the other account that trusts the first."""
    mine = make_role(local_account.client("iam"), f"mine-{request.node.name}", READ)
    iam = local_account.client("iam", caller=OTHER)
    theirs = make_role(iam, f"theirs-{request.node.name}", READ, trusts=trust({"AWS": mine}))
    return mine, theirs


def taken_on(account: LocalAccount, mine: str, theirs: str) -> dict[str, str]:
    own = account.identities.open(mine, "me").credentials()
    own["SessionToken"] = own["Token"]
    answer = client(account, "sts", own).assume_role(RoleArn=theirs, RoleSessionName="guest")
    return dict(answer["Credentials"])


def allow_mine(account: LocalAccount, mine: str, theirs: str) -> None:
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": theirs}
    account.client("iam").put_role_policy(
        RoleName=mine.rpartition("/")[2], PolicyName="assume", PolicyDocument=document(assume)
    )


def test_its_credentials_mean_the_other_account(
    local_account: LocalAccount, names: tuple[str, str]
) -> None:
    allow_mine(local_account, *names)
    keys = taken_on(local_account, *names)
    said = client(local_account, "sts", keys).get_caller_identity()
    role = names[1].rpartition("/")[2]
    assert said["Account"] == OTHER
    assert said["Arn"] == f"arn:aws:sts::{OTHER}:assumed-role/{role}/guest"

    for caller, value in (("test", "here"), (OTHER, "there")):
        ssm = local_account.client("ssm", caller=caller)
        ssm.put_parameter(Name="/where", Value=value, Type="String", Overwrite=True)
    ssm = client(local_account, "ssm", keys)
    found = ssm.get_parameter(Name="/where")["Parameter"]
    assert (found["Value"], found["ARN"].split(":")[4]) == ("there", OTHER)
    with pytest.raises(ClientError, match=f"{OTHER}:assumed-role/.*ssm:PutParameter"):
        ssm.put_parameter(Name="/where", Value="x", Type="String", Overwrite=True)


def test_neither_side_is_enough(local_account: LocalAccount, names: tuple[str, str]) -> None:
    mine, theirs = names
    # In one account its trust alone would be.
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        taken_on(local_account, mine, theirs)
    allow_mine(local_account, mine, theirs)
    taken_on(local_account, mine, theirs)
    local_account.client("iam", caller=OTHER).update_assume_role_policy(
        RoleName=theirs.rpartition("/")[2], PolicyDocument=trust()
    )
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        taken_on(local_account, mine, theirs)


def test_a_bucket_of_another_account_is_for_whom_both_sides_name(
    local_account: LocalAccount, names: tuple[str, str]
) -> None:
    mine, _ = names
    bucket = "of-the-other-account"
    owner = local_account.client("s3", caller=OTHER)
    owner.create_bucket(Bucket=bucket)
    owner.put_object(Bucket=bucket, Key="a", Body=b"b")
    own = local_account.identities.open(mine, "me").credentials()
    own["SessionToken"] = own["Token"]
    s3 = client(local_account, "s3", own)
    get = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    local_account.client("iam").put_role_policy(
        RoleName=mine.rpartition("/")[2], PolicyName="s3", PolicyDocument=document(get)
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=bucket, Key="a")
    named = {**get, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}}
    owner.put_bucket_policy(Bucket=bucket, Policy=document(named))
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"b"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=bucket, Key="a", Body=b"c")
