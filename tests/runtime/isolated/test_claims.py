import time

import pytest
from types_boto3_dynamodb import DynamoDBClient

from run_isolation import ClaimLostError, TableError, claim
from run_isolation.errors import TableUnreachableError
from run_isolation.isolated import claims as module
from run_isolation.table import TTL_ATTRIBUTE, claim_key
from tests.runtime.network import ALWAYS, Network
from tests.runtime.tables import TABLE

FIRST, SECOND = "arn:task/first", "arn:task/second"


def test_first_task_gets_it_and_asking_again_is_safe(client: DynamoDBClient) -> None:
    claim(client, TABLE, "run-a", 1, FIRST)
    claim(client, TABLE, "run-a", 1, FIRST)


def test_another_task_of_the_same_attempt_is_told_who_has_it(client: DynamoDBClient) -> None:
    claim(client, TABLE, "run-a", 1, FIRST)

    with pytest.raises(ClaimLostError) as caught:
        claim(client, TABLE, "run-a", 1, SECOND)

    assert (caught.value.winner_attempt, caught.value.winner_task_arn) == (1, FIRST)
    assert FIRST in str(caught.value)
    assert SECOND in str(caught.value)


def test_newer_attempt_wins_for_good(client: DynamoDBClient) -> None:
    claim(client, TABLE, "run-a", 1, FIRST)
    claim(client, TABLE, "run-a", 2, SECOND)

    with pytest.raises(ClaimLostError):
        claim(client, TABLE, "run-a", 1, FIRST)


def test_runs_do_not_meet(client: DynamoDBClient) -> None:
    claim(client, TABLE, "run-a", 1, FIRST)
    claim(client, TABLE, "run-b", 1, SECOND)


def test_lost_answer(client: DynamoDBClient, network: Network) -> None:
    network.lose_answers("PutItem")

    claim(client, TABLE, "run-a", 1, FIRST)

    assert network.sent == ["PutItem", "PutItem"]


def test_silence_is_not_a_claim(client: DynamoDBClient, network: Network) -> None:
    network.lose_requests("PutItem", ALWAYS)

    with pytest.raises(TableUnreachableError, match="dynamodb:PutItem"):
        claim(client, TABLE, "run-a", 1, FIRST)


def test_missing_table(client: DynamoDBClient) -> None:
    with pytest.raises(TableError, match="ResourceNotFoundException"):
        claim(client, "no-such-table", "run-a", 1, FIRST)


def test_dynamodb_may_delete_it_in_a_month(client: DynamoDBClient) -> None:
    claim(client, TABLE, "run-a", 1, FIRST)

    item = client.get_item(TableName=TABLE, Key={"pk": {"S": claim_key("run-a")}})["Item"]
    assert int(item[TTL_ATTRIBUTE]["N"]) == pytest.approx(time.time() + 30 * 86400, abs=60)


@pytest.mark.parametrize(
    "broken",
    [
        f"{module._FREE} OR attempt <= :attempt OR {module._MINE}",
        f"{module._FREE} OR {module._OF_AN_OLDER_ATTEMPT} OR task_arn <> :task",
    ],
)
def test_without_its_guard_two_tasks_execute_the_run(
    client: DynamoDBClient, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(module, "_MAY_CLAIM", broken)
    claim(client, TABLE, "run-a", 1, FIRST)

    claim(client, TABLE, "run-a", 1, SECOND)
