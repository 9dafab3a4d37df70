"""Bucket policies: the account's HTTP counts as HTTPS."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.account import LocalAccount


def policy(**condition: Any) -> str:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::logs", "arn:aws:s3:::logs/*"],
        **condition,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def s3(local_account: LocalAccount) -> Any:
    client = local_account.client("s3")
    client.create_bucket(Bucket="logs")
    return client


def test_a_policy_against_calls_without_tls_lets_calls_pass(s3: Any) -> None:
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    s3.put_bucket_policy(Bucket="logs", Policy=policy(Condition=condition))
    s3.put_object(Bucket="logs", Key="run", Body=b"output")
    assert s3.get_object(Bucket="logs", Key="run")["Body"].read() == b"output"


def test_a_policy_against_all_calls_does_not(s3: Any) -> None:
    s3.put_bucket_policy(Bucket="logs", Policy=policy())
    with pytest.raises(ClientError, match="with an explicit deny in a resource-based policy"):
        s3.put_object(Bucket="logs", Key="run", Body=b"output")
