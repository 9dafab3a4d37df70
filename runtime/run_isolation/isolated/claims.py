"""The claim: of all the tasks that may have been started for a run, one executes it.

An isolated task's first act is one conditional write. It fences every duplicate, whatever its
cause: a launch repeated after ECS forgot its token (at most 24 hours,
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html), a task given up for
lost that starts late, two launchers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from run_isolation.errors import ClaimLostError
from run_isolation.table import HASH_KEY, TTL_ATTRIBUTE, answering, claim_key, refused_item

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEPT_SECONDS: Final = 30 * 24 * 3600
"""When DynamoDB may delete a claim: long after the last task that could contest it has ended."""

_FREE: Final = f"attribute_not_exists({HASH_KEY})"
_OF_AN_OLDER_ATTEMPT: Final = "attempt < :attempt"
_MINE: Final = "(attempt = :attempt AND task_arn = :task)"
_MAY_CLAIM: Final = f"{_FREE} OR {_OF_AN_OLDER_ATTEMPT} OR {_MINE}"


@dataclass(frozen=True)
class Claim:
    """Who executes a run, or was about to."""

    attempt: int
    task_arn: str


def claim(client: DynamoDBClient, table: str, run_id: str, attempt: int, task_arn: str) -> None:
    """Claims a run for a task, or says who has it. One call; asking again is safe.

    Raises:
        ClaimLostError: Another task has it: exit and touch nothing.
        TableError: Who has it is not known: try again, do not execute the run.
    """
    with answering("dynamodb:PutItem", table):
        try:
            client.put_item(
                TableName=table,
                Item={
                    HASH_KEY: {"S": claim_key(run_id)},
                    "attempt": {"N": str(attempt)},
                    "task_arn": {"S": task_arn},
                    TTL_ATTRIBUTE: {"N": str(int(time.time()) + KEPT_SECONDS)},
                },
                ConditionExpression=_MAY_CLAIM,
                ExpressionAttributeValues={
                    ":attempt": {"N": str(attempt)},
                    ":task": {"S": task_arn},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except client.exceptions.ConditionalCheckFailedException as error:
            winner = _from_item(refused_item(error))
            raise ClaimLostError(
                run_id=run_id,
                attempt=attempt,
                task_arn=task_arn,
                winner_attempt=winner.attempt,
                winner_task_arn=winner.task_arn,
            ) from error


def claimed_by(client: DynamoDBClient, table: str, run_id: str) -> Claim | None:
    """The run's claim as it is now (a strongly consistent read); None where no task has claimed it.

    Raises:
        TableError: Not known.
    """
    with answering("dynamodb:GetItem", table):
        answer = client.get_item(
            TableName=table, Key={HASH_KEY: {"S": claim_key(run_id)}}, ConsistentRead=True
        )
    return _from_item(answer["Item"]) if "Item" in answer else None


def _from_item(item: Mapping[str, Any]) -> Claim:
    return Claim(int(item["attempt"]["N"]), item["task_arn"]["S"])
