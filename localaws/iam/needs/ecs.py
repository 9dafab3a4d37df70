"""What calls of ECS need.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from moto.core.exceptions import ServiceException
from moto.ecs.models import ecs_backends

from localaws.ecs.definition import role_of
from localaws.iam.needs.ask import Ask, Need, Row, request_tags, resource_tags

#: Whom a task's roles are handed to.
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
TASKS: Final = "ecs-tasks.amazonaws.com"


def _backend(ask: Ask) -> Any:
    return ecs_backends[ask.account][ask.region]


def _cluster(ask: Ask) -> str:
    name = ask.params.get("cluster") or "default"
    return str(name) if name.startswith("arn:") else ask.arn(f"cluster/{name}")


def _in_cluster(ask: Ask, kind: str, name: str) -> str:
    """Return the ARN of a task or service that is named by id, name or ARN."""
    if name.startswith("arn:"):
        return name
    return ask.arn(f"{kind}/{_cluster(ask).rsplit('/', 1)[-1]}/{name}")


def run_task(ask: Ask) -> Iterator[Need]:
    """The revision to run, the roles to hand to it, and the tags to give it.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/supported-iam-actions-tagging.html
    """
    definition = _definition(ask)
    overrides = ask.params.get("overrides") or {}
    tags = request_tags(ask.params.get("tags") or [])
    # Of the sizes, what the request overrides: "provided in the request".
    sizes = {
        f"ecs:task-{key}": str(overrides[key]) for key in ("cpu", "memory") if key in overrides
    }
    exec_asked = str(bool(ask.params.get("enableExecuteCommand"))).lower()
    yield Need(
        "ecs:RunTask",
        definition.arn if definition else _named_definition(ask),
        {
            "ecs:cluster": _cluster(ask),
            "ecs:enable-execute-command": exec_asked,
            **sizes,
            **tags,
            **(resource_tags("ecs", definition.tags) if definition else {}),
        },
    )
    kinds = ("task", "execution") if definition else ()
    roles = dict.fromkeys(role_of(kind, definition, overrides) for kind in kinds)
    for role in filter(None, roles):
        yield Need("iam:PassRole", role, {"iam:PassedToService": TASKS})
    if tags:
        tasks = _in_cluster(ask, "task", "*")
        yield Need("ecs:TagResource", tasks, {"ecs:CreateAction": "RunTask", **tags})


def _definition(ask: Ask) -> Any:
    try:
        return _backend(ask).find_definition(ask.params.get("taskDefinition") or "")
    except ServiceException:
        # ECS says so itself, to those who may ask.
        return None


def _named_definition(ask: Ask) -> str:
    name = str(ask.params.get("taskDefinition"))
    return name if name.startswith("arn:") else ask.arn(f"task-definition/{name}")


def _each(kind: str, *keys: str) -> Row:
    """A row for an operation on tasks or services that parameters name."""

    def needs(ask: Ask) -> Iterator[Need]:
        for name in _names(ask, *keys):
            arn = _in_cluster(ask, kind, name)
            tags = resource_tags("ecs", _tags(ask, kind, arn))
            yield Need(f"ecs:{ask.operation}", arn, {"ecs:cluster": _cluster(ask), **tags})

    return needs


def _tags(ask: Ask, kind: str, arn: str) -> Any:
    cluster, name = arn.split("/")[-2:] if arn.count("/") > 1 else ("", "")
    if kind == "task":
        found = _backend(ask).tasks.get(cluster, {}).get(arn)
    else:
        found = _backend(ask).services.get(f"{cluster}:{name}")
    return found.tags if found is not None else []


def _names(ask: Ask, *keys: str) -> list[str]:
    found: list[str] = []
    for key in keys:
        given = ask.params.get(key) or []
        found += [given] if isinstance(given, str) else list(given)
    return found


def _anything_in_cluster(ask: Ask) -> Iterator[Need]:
    """Lists: the cluster is in the condition, for there is no resource that names it."""
    yield Need(f"ecs:{ask.operation}", "*", {"ecs:cluster": _cluster(ask)})


def _everything(ask: Ask) -> Iterator[Need]:
    yield Need(f"ecs:{ask.operation}", "*")


def _clusters(ask: Ask) -> Iterator[Need]:
    for name in _names(ask, "clusters") or ["default"]:
        yield Need(
            "ecs:DescribeClusters", name if name.startswith("arn:") else ask.arn(f"cluster/{name}")
        )


def _named_resource(ask: Ask) -> Iterator[Need]:
    tags = request_tags(ask.params.get("tags") or [])
    yield Need(f"ecs:{ask.operation}", str(ask.params.get("resourceArn")), tags)


ROWS: Final[dict[str, Row]] = {
    "RunTask": run_task,
    "StopTask": _each("task", "task"),
    "DescribeTasks": _each("task", "tasks"),
    "UpdateTaskProtection": _each("task", "tasks"),
    "GetTaskProtection": _each("task", "tasks"),
    "ListTasks": _anything_in_cluster,
    "DescribeServices": _each("service", "services"),
    "ListServices": _anything_in_cluster,
    "DescribeClusters": _clusters,
    "DescribeTaskDefinition": _everything,
    "ListTaskDefinitions": _everything,
    "ListClusters": _everything,
    "TagResource": _named_resource,
    "UntagResource": _named_resource,
    "ListTagsForResource": _named_resource,
}
