"""Amazon's DynamoDB Local, and a network before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.retries.quota import RetryQuota
from botocore.retries.standard import ExponentialBackoff
from types_boto3_dynamodb import DynamoDBClient

from run_isolation import aws
from tests.slots.machine import Network
from tests.slots.proxy import Proxy
from tools.dynamodb_local import DynamoDBLocal, UnavailableError


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[DynamoDBLocal]:
    local = DynamoDBLocal(short_lived=True)
    try:
        local.start()
    except UnavailableError as error:
        pytest.skip(str(error))
    yield local
    local.kill()


@pytest.fixture(scope="session")
def network(dynamodb: DynamoDBLocal) -> Iterator[Network]:
    proxy = Proxy(dynamodb.port)
    with proxy.in_background():
        direct = client_of(dynamodb, dynamodb.endpoint_url)
        network = Network(client_of(dynamodb, proxy.endpoint_url), direct, proxy)
        proxy.decide = network.decide
        yield network


def client_of(dynamodb: DynamoDBLocal, endpoint_url: str) -> DynamoDBClient:
    """The library's own client. Only its making sees the environment: moto's tests need another."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dynamodb.environment.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint_url)
        return aws.dynamodb()


@pytest.fixture(autouse=True)
def retries_depend_on_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK neither waits between its tries, nor makes fewer after many that failed."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0)
    monkeypatch.setattr(RetryQuota, "acquire", lambda self, amount: True)
