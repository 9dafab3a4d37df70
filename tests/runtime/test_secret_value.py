"""A secret is read by the ARN that a task definition takes."""

from __future__ import annotations

import json

import pytest

from run_isolation import aws
from run_isolation.errors import SecretError
from run_isolation.secret_value import Secret

CONTENT = json.dumps({"username": "u", "password": "p"})


@pytest.fixture
def arn(account: None) -> str:
    return aws.secrets_manager().create_secret(Name="rds!db-1", SecretString=CONTENT)["ARN"]


def test_a_secret_and_a_key_of_it(arn: str) -> None:
    assert Secret.of(arn).value() == CONTENT
    assert Secret.of(f"{arn}:password::").value() == "p"


def test_a_version_of_it(arn: str) -> None:
    manager = aws.secrets_manager()
    version = manager.put_secret_value(SecretId=arn, SecretString="new")["VersionId"]
    assert Secret.of(f"{arn}::AWSPREVIOUS:").value() == CONTENT
    assert Secret.of(f"{arn}:::{version}").value() == "new"


def test_what_a_rotation_is_about_to_make_the_current_one(arn: str) -> None:
    assert Secret.of(arn).pending() is None
    aws.secrets_manager().put_secret_value(
        SecretId=arn, SecretString="next", VersionStages=["AWSPENDING"]
    )
    assert Secret.of(arn).pending() == "next"
    assert Secret.of(f"{arn}::AWSCURRENT:").pending() is None


def test_a_parameter(account: None) -> None:
    store = aws.ssm()
    store.put_parameter(Name="/dagster/db", Value="text", Type="SecureString")
    parameter = "arn:aws:ssm:us-east-1:123456789012:parameter/dagster/"
    assert Secret.of(f"{parameter}db").value() == "text"
    with pytest.raises(SecretError, match="there is no such parameter"):
        Secret.of(f"{parameter}other").value()


def test_what_can_t_be_read(arn: str) -> None:
    manager = aws.secrets_manager()
    with pytest.raises(SecretError, match="no JSON with a key hosts"):
        Secret.of(f"{arn}:hosts::").value()
    with pytest.raises(SecretError, match=r"find the specified secret.* Check the ARN"):
        Secret.of(arn.replace("rds!db-1", "none")).value()
    binary = manager.create_secret(Name="binary", SecretBinary=b"\0")["ARN"]
    with pytest.raises(SecretError, match="it is binary"):
        Secret.of(binary).value()
