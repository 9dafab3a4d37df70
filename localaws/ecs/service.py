"""A service and its deployments."""

from __future__ import annotations

import itertools
import math
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localaws.ecs.states import Status, utcnow
from localaws.ecs.task import Task

#: What a new value of starts a deployment:
#: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
DEPLOYED = (
    "taskDefinition",
    "networkConfiguration",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "serviceRegistries",
    "enableExecuteCommand",
)

#: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
_DEFAULT_CONFIGURATION = {
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
}

_MAX_EVENTS = 100


@dataclass
class Deployment:
    """One deployment of a service.

    Attributes:
        settings: The service's settings of `DEPLOYED` at its creation.
        tasks: Those that have not STOPPED.
        once_ready: The ids of those that have ever been ready.
        ended: The ids of those whose end was taken note of.
        failed: How many tasks ended before they were ready.
        streak: How many tasks in a row ended without being asked to.
        resume_at: Monotonic seconds before which no further task is started.
    """

    settings: Mapping[str, Any]
    id: str = field(default_factory=lambda: f"ecs-svc/{secrets.randbelow(10**19):019d}")
    status: str = "PRIMARY"
    state: str = "IN_PROGRESS"
    reason: str = ""
    created_at: datetime = field(default_factory=utcnow)
    updated_at: datetime = field(default_factory=utcnow)
    tasks: list[Task] = field(default_factory=list)
    once_ready: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    failed: int = 0
    streak: int = 0
    resume_at: float = 0.0

    def __post_init__(self) -> None:
        self.go("IN_PROGRESS", f"ECS deployment {self.id} in progress.")

    def go(self, state: str, reason: str) -> None:
        """Change the rollout's state."""
        self.state = state
        self.reason = reason
        self.updated_at = utcnow()

    def count(self, *statuses: Status) -> int:
        """Return how many of the tasks are in one of these states."""
        return sum(task.status in statuses for task in self.tasks)

    @property
    def running(self) -> int:
        """How many tasks are RUNNING."""
        return self.count(Status.RUNNING)

    @property
    def pending(self) -> int:
        """How many tasks are on their way to RUNNING."""
        return self.count(Status.PROVISIONING, Status.PENDING, Status.ACTIVATING)

    def describe(self, desired: int) -> dict[str, Any]:
        """Return the deployment as DescribeServices shows it."""
        return {
            **{key: value for key, value in self.settings.items() if key != "serviceRegistries"},
            "id": self.id,
            "status": self.status,
            "desiredCount": desired,
            "runningCount": self.running,
            "pendingCount": self.pending,
            "failedTasks": self.failed,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "rolloutState": self.state,
            "rolloutStateReason": self.reason,
            "platformFamily": "Linux",
        }


class Service:
    """A service of this account. Not thread-safe: guarded by the lock of its `Services`.

    Args:
        cluster_arn: The cluster.
        params: CreateService's parameters, `taskDefinition` being a full ARN.
    """

    def __init__(self, cluster_arn: str, params: Mapping[str, Any]) -> None:
        self.name: str = params["serviceName"]
        self.cluster_arn = cluster_arn
        self.cluster_name = cluster_arn.rsplit("/", 1)[-1]
        self.arn = f"{cluster_arn.replace(':cluster/', ':service/')}/{self.name}"
        self.tags = [dict(tag) for tag in params.get("tags") or []]
        self.settings = {
            k: v for k, v in params.items() if k not in ("tags", "cluster", "clientToken")
        }
        self.status = "ACTIVE"
        self.created_at = utcnow()
        self.events: list[dict[str, Any]] = []
        self.deployments: list[Deployment] = []
        #: The settings of the last deployment that completed: where a rollback goes.
        self.completed: Mapping[str, Any] | None = None
        self.steady = False
        self.deploy(self.settings)

    @property
    def physical_resource_id(self) -> str:
        """The ARN, under the name that moto looks it up."""
        return self.arn

    @property
    def desired(self) -> int:
        """How many tasks the service is to have."""
        return 0 if self.status != "ACTIVE" else int(self.settings.get("desiredCount") or 0)

    @property
    def primary(self) -> Deployment:
        """The newest deployment."""
        return self.deployments[0]

    @property
    def configuration(self) -> dict[str, Any]:
        """The deployment configuration with its defaults."""
        return {**_DEFAULT_CONFIGURATION, **(self.settings.get("deploymentConfiguration") or {})}

    @property
    def most(self) -> int:
        """How many tasks may be there during a deployment, rounded down."""
        return self.desired * int(self.configuration["maximumPercent"]) // 100

    @property
    def least_ready(self) -> int:
        """How many tasks must stay ready during a deployment, rounded up."""
        return math.ceil(self.desired * int(self.configuration["minimumHealthyPercent"]) / 100)

    def deploy(self, settings: Mapping[str, Any]) -> Deployment:
        """Start a deployment with these settings."""
        for old in self.deployments:
            old.status = "ACTIVE"
        deployment = Deployment({key: settings[key] for key in DEPLOYED if settings.get(key)})
        self.deployments.insert(0, deployment)
        self.steady = False
        return deployment

    def update(self, changes: Mapping[str, Any], *, force: bool) -> None:
        """Take new settings over, with a new deployment where they need one."""
        new = {key: value for key, value in changes.items() if value is not None}
        deploys = any(self.settings.get(key) != new[key] for key in DEPLOYED if key in new)
        self.settings.update(new)
        self.steady = False
        if deploys or force:
            self.deploy(self.settings)

    def has_room_to_protect(self, task: Task) -> bool:
        """Whether this task may be protected beside those that are.

        No more than the desired count: "DEPLOYMENT_BLOCKED ... means the service has more protected
        tasks than the desired count of tasks",
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection.html
        """
        tasks = [one for deployment in self.deployments for one in deployment.tasks]
        return sum(one.protected for one in tasks if one is not task) < self.desired

    def tell(self, message: str) -> None:
        """Add an event."""
        event = {
            "id": str(uuid.uuid4()),
            "createdAt": utcnow(),
            "message": f"(service {self.name}) {message}",
        }
        self.events = [event, *itertools.islice(self.events, _MAX_EVENTS - 1)]

    def describe(self, *, tags: bool = False) -> dict[str, Any]:
        """Return the service as DescribeServices shows it."""
        shown: dict[str, Any] = {
            "loadBalancers": [],
            "serviceRegistries": [],
            "propagateTags": "NONE",
            "enableECSManagedTags": False,
            "enableExecuteCommand": False,
            "schedulingStrategy": "REPLICA",
            "deploymentController": {"type": "ECS"},
            "platformVersion": "LATEST",
            **self.settings,
            "platformFamily": "Linux",
            "placementConstraints": [],
            "placementStrategy": [],
            "serviceArn": self.arn,
            "clusterArn": self.cluster_arn,
            "status": self.status,
            "desiredCount": self.desired,
            "runningCount": sum(one.running for one in self.deployments),
            "pendingCount": sum(one.pending for one in self.deployments),
            "taskDefinition": self.primary.settings["taskDefinition"],
            "deploymentConfiguration": self.configuration,
            "deployments": [
                one.describe(self.desired if one is self.primary else 0) for one in self.deployments
            ],
            "events": self.events,
            "createdAt": self.created_at,
        }
        if tags:
            shown["tags"] = self.tags
        return shown
