"""Deleting the task definitions of a code location that is gone.

While it exists, all revisions are kept (``skip_destroy``): runs that wait in Dagster's queue
execute the one that they were created with, and ECS rolls back to the previous one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from types_boto3_ecs import ECSClient

BATCH: Final = 10
"""https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteTaskDefinitions.html"""


def delete_revisions(ecs: ECSClient, family: str) -> None:
    """Deletes every revision of a family. Tasks that still run go on."""
    for arn in _revisions(ecs, family, "ACTIVE"):
        ecs.deregister_task_definition(taskDefinition=arn)
    inactive = _revisions(ecs, family, "INACTIVE")
    for first in range(0, len(inactive), BATCH):
        ecs.delete_task_definitions(taskDefinitions=inactive[first : first + BATCH])


def _revisions(ecs: ECSClient, family: str, status: Literal["ACTIVE", "INACTIVE"]) -> list[str]:
    pages = ecs.get_paginator("list_task_definitions").paginate(familyPrefix=family, status=status)
    arns = [arn for page in pages for arn in page["taskDefinitionArns"]]
    # The parameter is called a prefix, the doc calls it the full name: never delete more.
    return [arn for arn in arns if arn.rpartition("/")[2].rpartition(":")[0] == family]
