"""Clients of S3 are made of what the template has parsed; each session stays its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.loaders import JSONFileLoader

from run_isolation.dagster.warm import aws_models


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The files that were parsed after the template had done so."""
    files: list[str] = []
    original = JSONFileLoader.load_file

    def load_file(self: JSONFileLoader, file_path: str) -> object:
        content = original(self, file_path)
        if content is not None:
            files.append(file_path)
        return content

    aws_models.parse()
    monkeypatch.setattr(JSONFileLoader, "load_file", load_file)
    with aws_models.installed():
        yield files


def test_s3_is_parsed_once(read: list[str]) -> None:
    boto3.Session("id", "secret", region_name="eu-west-1").resource("s3")
    assert read == []


def test_what_the_template_has_not_is_parsed(read: list[str]) -> None:
    boto3.Session("id", "secret", region_name="eu-west-1").client("sqs")
    assert any("/sqs/" in file for file in read)


def test_a_session_is_its_own(read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the run")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    client: Any = boto3.Session().resource("s3").meta.client
    assert client.meta.region_name == "eu-central-1"
    assert client._request_signer._credentials.access_key == "of the run"


def test_a_profile_that_is_not_there_yet_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of nobody")
    aws_models.parse()
