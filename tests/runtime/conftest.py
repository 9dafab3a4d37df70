"""An AWS account in memory (moto), a slot table in it, and a network that can lose things."""

from collections.abc import Iterator

import pytest
from botocore.retries.standard import ExponentialBackoff
from moto import mock_aws
from types_boto3_dynamodb import DynamoDBClient

from run_isolation import NonIsolatedRuns, Slots, aws
from tests.runtime.network import Network
from tests.runtime.tables import TABLE, configure, create_table

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches a real account, nor waits between the SDK's retries."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0)


@pytest.fixture
def account(environment: None) -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def client(account: None) -> DynamoDBClient:
    """A client for a table with room for one non-isolated run."""
    client = aws.dynamodb()
    create_table(client)
    configure(client, NonIsolatedRuns(enabled=True))
    return client


@pytest.fixture
def slots(client: DynamoDBClient) -> Slots:
    return Slots(client, TABLE)


@pytest.fixture
def network(client: DynamoDBClient) -> Network:
    """The network between ``client`` (and so ``slots``) and AWS."""
    return Network(client)
