"""What ECS itself asks of AWS before a task runs, with the task's execution role.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
"""

from __future__ import annotations

import re
from typing import Any, Final

from localaws.ecs.task import Task
from localaws.iam.denials import DeniedError
from localaws.iam.guard import Guard
from localaws.iam.needs.ask import Ask

_ECR: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<name>[^:@]+)"
)
_PULL: Final = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
#: How ECS's errors go on after what AWS said.
_STATUS: Final = "status code: 400, request id: 00000000-0000-0000-0000-000000000000"


class ThrottledError(Exception):
    """The account makes too many such calls."""


class Execution:
    """The calls for one task. A task without an execution role asks nobody.

    Args:
        guard: Who may do what.
        task: The task.
    """

    def __init__(self, guard: Guard, task: Task) -> None:
        self._guard = guard
        self._region = task.placement.region
        role = task.spec.execution_role
        self._who = guard.identities.session(role, task.id) if role else None

    def ask(self, service: str, operation: str, region: str = "", **params: Any) -> None:
        """Ask for one call, as the role.

        Raises:
            DeniedError: The role may not make it.
            ThrottledError: The account makes too many.
        """
        if error := self._guard.quotas.throttle(service, operation, params):
            raise ThrottledError(error.message)
        if self._who is not None:
            account = self._guard.account_id
            ask = Ask(service, operation, params, account, region or self._region)
            self._guard.admit(self._who, ask)

    def pull(self, image: str) -> str | None:
        """Return why an image can't be pulled, in ECS's words, or None.

        Only ECR asks for permission.
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
        """
        found = _ECR.match(image)
        if found is None:
            return None
        try:
            self.ask("ecr", "GetAuthorizationToken", found["region"])
        except DeniedError as denial:
            return (
                "ResourceInitializationError: unable to pull secrets or registry auth: execution "
                f"resource retrieval failed: unable to get registry auth from ECR: {told(denial)}"
            )
        where = {"registryId": found["account"], "repositoryName": found["name"]}
        try:
            for operation in _PULL:
                self.ask("ecr", operation, found["region"], **where)
        except DeniedError as denial:
            return (
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
                f"failed to resolve ref {image}: unexpected status: 403 Forbidden: {denial}"
            )
        return None


def told(refusal: DeniedError | ThrottledError) -> str:
    """Return a refusal as ECS's errors repeat it."""
    code = "AccessDeniedException" if isinstance(refusal, DeniedError) else "ThrottlingException"
    return f"{code}: {refusal} {_STATUS}"
