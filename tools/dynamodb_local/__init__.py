"""Amazon's own DynamoDB Local: fetched by Maven once, started for tests and benchmarks."""

from tools.dynamodb_local.jars import UnavailableError, ensure_jars
from tools.dynamodb_local.server import DynamoDBLocal

__all__ = ["DynamoDBLocal", "UnavailableError", "ensure_jars"]
