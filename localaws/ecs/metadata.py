"""The task metadata endpoint, version 4, of each container.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate-response.html
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

from localaws.ecs.container import Container
from localaws.ecs.task import Task


class Metadata:
    """Answers `ECS_CONTAINER_METADATA_URI_V4` by the container's runtime id. Thread-safe."""

    def __init__(self) -> None:
        self._containers: dict[str, tuple[Task, Container]] = {}
        self._lock = threading.Lock()

    def add(self, task: Task) -> None:
        """Answer for a task's containers."""
        with self._lock:
            self._containers |= {one.runtime_id: (task, one) for one in task.containers}

    def remove(self, task: Task) -> None:
        """Answer no longer."""
        with self._lock:
            for one in task.containers:
                self._containers.pop(one.runtime_id, None)

    def find(self, runtime_id: str) -> tuple[Task, Container] | None:
        """Return the container of that id and its task, while the task exists."""
        with self._lock:
            return self._containers.get(runtime_id)

    def answer(self, path: str) -> dict[str, Any] | None:
        """Return the answer for `/v4/<runtime id>[/task]`, or None when there is none."""
        _, _, runtime_id, *rest = path.rstrip("/").split("/")
        found = self.find(runtime_id)
        if found is None or rest not in ([], ["task"]):
            return None
        task, container = found
        return _task(task) if rest else _container(task, container)


def _task(task: Task) -> dict[str, Any]:
    shown = {
        "Cluster": task.placement.cluster_arn,
        "TaskARN": task.task_arn,
        "Family": task.definition.family,
        "Revision": str(task.definition.revision),
        "DesiredStatus": task.desired_status,
        "KnownStatus": task.status.value,
        "Limits": {"CPU": task.spec.cpu / 1024, "Memory": task.spec.memory},
        "PullStartedAt": _time(task.moments.get("pullStartedAt")),
        "PullStoppedAt": _time(task.moments.get("pullStoppedAt")),
        "AvailabilityZone": f"{task.placement.region}a",
        "LaunchType": task.placement.shown.get("launchType", "FARGATE"),
        "Containers": [_container(task, one) for one in task.containers],
    }
    kind, _, name = task.placement.group.partition(":")
    if kind == "service":
        shown["ServiceName"] = name
    return shown


def _container(task: Task, container: Container) -> dict[str, Any]:
    spec = container.spec
    shown: dict[str, Any] = {
        "DockerId": f"{task.id}-{container.runtime_id[:10]}",
        "Name": spec.name,
        "DockerName": spec.name,
        "Image": spec.image,
        "Labels": {
            "com.amazonaws.ecs.cluster": task.placement.cluster_arn,
            "com.amazonaws.ecs.container-name": spec.name,
            "com.amazonaws.ecs.task-arn": task.task_arn,
            "com.amazonaws.ecs.task-definition-family": task.definition.family,
            "com.amazonaws.ecs.task-definition-version": str(task.definition.revision),
        },
        "DesiredStatus": task.desired_status,
        "KnownStatus": container.last_status,
        "Limits": {"CPU": spec.cpu or 2} | ({"Memory": spec.memory} if spec.memory else {}),
        "CreatedAt": _time(container.created_at),
        "StartedAt": _time(container.started_at),
        "Type": "NORMAL",
        "ContainerARN": container.arn,
        "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": [task.placement.address]}],
    }
    if spec.log_driver:
        shown |= {"LogDriver": spec.log_driver, "LogOptions": dict(spec.log_options)}
    return {key: value for key, value in shown.items() if value is not None}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
