"""The slot table: its keys, and its errors told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from run_isolation import passing_trouble
from run_isolation.errors import TableRefusedError, TableUnreachableError

TABLE: Final = "RUN_ISOLATION_TABLE"
"""Environment variable of tasks with the table's name. The manifest says it, too, a call later."""

LOCATION: Final = "RUN_ISOLATION_LOCATION"
"""Environment variable of tasks with their code location, by the name that Dagster knows."""

HASH_KEY: Final = "pk"
SETTINGS_KEY: Final = "settings"
"""Pulumi's, as are the versions of the instance. The runtime owns all other items."""
SLOTS_KEY: Final = "slots"
TTL_ATTRIBUTE: Final = "expires_at"
"""Epoch seconds after which DynamoDB may delete an item. No decision rests on it."""


def claim_key(run_id: str) -> str:
    """Key of the item that says which task executes a run."""
    return f"claim#{run_id}"


def instance_key(version: str) -> str:
    """Key of the item with one version of the deployment's Dagster instance."""
    return f"instance#{version}"


@contextmanager
def answering(action: str, table: str) -> Iterator[None]:
    """Turns the SDK's errors into ours. A failed condition is an answer and passes unchanged.

    Args:
        action: The IAM action of the call, such as ``dynamodb:UpdateItem``.
        table: The table's name.

    Raises:
        TableUnreachableError: No answer, a server error, or throttled beyond the SDK's own retries.
        TableRefusedError: Any other error of AWS.
    """
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ConditionalCheckFailedException":
            raise
        problem = _sentence(error)
        if passing_trouble.is_throttle(error) or passing_trouble.is_server_error(error):
            raise TableUnreachableError(action, table, problem) from error
        raise TableRefusedError(action, table, code, problem) from error
    except BotoCoreError as error:
        raise TableUnreachableError(action, table, _sentence(error)) from error


def _sentence(error: Exception) -> str:
    return f"{str(error).rstrip('.')}."


def refused_item(error: ClientError) -> Mapping[str, Any]:
    """The item that failed a condition with ALL_OLD; empty where there is none."""
    item: Any = error.response.get("Item", {})
    return item  # type: ignore[no-any-return]
