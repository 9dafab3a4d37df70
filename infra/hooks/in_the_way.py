"""What keeps a deployment from being destroyed, told before AWS refuses piece by piece.

AWS deletes neither a policy that is attached (`DeleteConflict`) nor a security group that is in use
(`DependencyViolation`) nor a cluster with tasks (`ClusterContainsTasksException`). Each is found
out late, the last two after 10 to 15 minutes of trying, when most of the stack is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from infra.deployment import Deployment
from infra.hooks.aws_clients import Clients
from infra.security_groups import CLIENTS

LAUNCHER_POLICIES = ("launcher", "launcher-roles")


class StillInUseError(Exception):
    """Somebody else uses a part of the deployment, or it has runs."""


def check(clients: Clients, deployment: Deployment) -> None:
    """Looks at all that may be in the way. Its calls block.

    Raises:
        StillInUseError: Something is; it says what, and how to take it away.
    """
    found = [*_attached(clients, deployment), *_in_group(clients, deployment)]
    found += _running(clients, deployment)
    if found:
        raise StillInUseError(
            f"deployment {deployment.name} is still in use, so it can't be destroyed. "
            + " ".join(found)
            + " Then destroy it again."
        )


def _attached(clients: Clients, deployment: Deployment) -> Iterator[str]:
    for name in LAUNCHER_POLICIES:
        arn = deployment.policy_arn(name)
        try:
            pages = [*clients.iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn)]
        except clients.iam.exceptions.NoSuchEntityException:
            continue
        who = [
            *(f"role {one['RoleName']}" for page in pages for one in page["PolicyRoles"]),
            *(f"user {one['UserName']}" for page in pages for one in page["PolicyUsers"]),
            *(f"group {one['GroupName']}" for page in pages for one in page["PolicyGroups"]),
        ]
        if who:
            yield f"Policy {arn} is attached to {', '.join(who)}: detach it."


def _in_group(clients: Clients, deployment: Deployment) -> Iterator[str]:
    name = f"{deployment.prefix}-{CLIENTS}"
    groups = clients.ec2.describe_security_groups(
        Filters=[
            {"Name": "group-name", "Values": [name]},
            {"Name": "tag:run-isolation:deployment", "Values": [deployment.name]},
        ]
    )["SecurityGroups"]
    for group in groups:
        interfaces = clients.ec2.describe_network_interfaces(
            Filters=[{"Name": "group-id", "Values": [group["GroupId"]]}]
        )["NetworkInterfaces"]
        if interfaces:
            ids = ", ".join(
                " ".join(filter(None, (one["NetworkInterfaceId"], one.get("Description"))))
                for one in interfaces
            )
            yield (
                f"Security group {group['GroupId']} ({name}) is on network interfaces {ids}: "
                "take it from your webserver and daemon."
            )


def _running(clients: Clients, deployment: Deployment) -> Iterator[str]:
    cluster = deployment.cluster_arn
    try:
        pages = clients.ecs.get_paginator("list_tasks").paginate(cluster=cluster)
        arns = [*chain.from_iterable(page["taskArns"] for page in pages)]
    except clients.ecs.exceptions.ClusterNotFoundException:
        return
    tasks = [
        task
        for first in range(0, len(arns), 100)
        for task in clients.ecs.describe_tasks(cluster=cluster, tasks=arns[first : first + 100])[
            "tasks"
        ]
    ]
    # Those of services end with them.
    runs = [task["taskArn"] for task in tasks if not task["group"].startswith("service:")]
    if runs:
        yield (
            f"Tasks of isolated runs are running: {', '.join(runs)}. Let them end, or end them: "
            "`aws ecs stop-task`."
        )
