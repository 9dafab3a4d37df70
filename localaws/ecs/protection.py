"""Task scale-in protection, through the API and the agent's endpoint inside a container.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from moto.ecs.exceptions import InvalidParameterException

from localaws.ecs.states import utcnow
from localaws.ecs.task import Task
from localaws.iam.denials import DeniedError
from localaws.iam.guard import Guard
from localaws.iam.needs.ask import Need, resource_tags

#: Minutes: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateTaskProtection.html
DEFAULT_MINUTES, MOST_MINUTES = 120, 2880


def protect(task: Task, *, enabled: bool, minutes: int | None) -> dict[str, str] | None:
    """Protect a task or end its protection; return a failure, or None.

    Raises:
        InvalidParameterException: The minutes are out of range.
    """
    if minutes is not None and not 1 <= minutes <= MOST_MINUTES:
        raise InvalidParameterException(f"expiresInMinutes must be between 1 and {MOST_MINUTES}.")
    if not task.placement.group.startswith("service:") or task.stopping:
        return {
            "arn": task.task_arn,
            "reason": "TASK_NOT_VALID",
            "detail": "Only running tasks of a service can be protected.",
        }
    if enabled and not task.may_be_protected():
        return {
            "arn": task.task_arn,
            "reason": "DEPLOYMENT_BLOCKED",
            "detail": "The service has as many protected tasks as it wants tasks.",
        }
    end = utcnow() + timedelta(minutes=minutes or DEFAULT_MINUTES)
    task.protect(end if enabled else None)
    return None


def describe(task: Task) -> dict[str, Any]:
    """Return a task's protection as the API shows it."""
    shown: dict[str, Any] = {"taskArn": task.task_arn, "protectionEnabled": task.protected}
    if task.protected:
        shown["expirationDate"] = task.protected_until
    return shown


def answer_agent(
    task: Task, request: Mapping[str, Any] | None, guard: Guard
) -> tuple[dict[str, Any], int]:
    """Answer `$ECS_AGENT_URI/task-protection/v1/state`: a PUT's JSON, or None for a GET.

    The agent asks with the task's role:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html

    Returns:
        The answer's JSON and its HTTP status.
    """
    operation = "GetTaskProtection" if request is None else "UpdateTaskProtection"
    if refusal := _refusal(task, operation, guard):
        wrong = {"Arn": task.task_arn, "Code": "AccessDeniedException", "Message": refusal}
        return {"error": wrong}, 400
    if request is not None:
        minutes = request.get("ExpiresInMinutes")
        try:
            failure = protect(task, enabled=bool(request.get("ProtectionEnabled")), minutes=minutes)
        except InvalidParameterException as error:
            wrong = {"Arn": task.task_arn, "Code": error.code, "Message": error.message}
            return {"error": wrong}, 400
        if failure:
            return {"failure": {key.capitalize(): value for key, value in failure.items()}}, 200
    shown: dict[str, Any] = {"TaskArn": task.task_arn, "ProtectionEnabled": task.protected}
    if task.protected_until and task.protected:
        shown["ExpirationDate"] = task.protected_until.isoformat().replace("+00:00", "Z")
    return {"protection": shown}, 200


def _refusal(task: Task, operation: str, guard: Guard) -> str | None:
    """Return why the task's role may not, or None where it may."""
    if not task.spec.role:
        # https://github.com/aws/amazon-ecs-agent/blob/master/ecs-agent/tmds/handlers/taskprotection
        return "Invalid Request: no task IAM role credentials available for task"
    who = guard.identities.session(task.spec.role, task.id)
    context = {"ecs:cluster": task.placement.cluster_arn, **resource_tags("ecs", task.tags)}
    need = Need(f"ecs:{operation}", task.task_arn, context)
    try:
        guard.require(who, [need], f"ecs agent: {operation}", task.placement.region)
    except DeniedError as denial:
        return str(denial)
    return None
