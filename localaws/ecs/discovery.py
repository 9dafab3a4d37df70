"""Tasks of services in Cloud Map: what `serviceRegistries` promises."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from moto.servicediscovery.models import servicediscovery_backends

from localaws.ecs.task import Task


class Discovery:
    """Keeps the Cloud Map instances of a region's service tasks up to date. Thread-safe.

    A task is registered once it is ready (RUNNING, and healthy where it has a health check), and
    deregistered before its containers are told to stop:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
    """

    def __init__(self, account_id: str, region: str) -> None:
        self._account_id = account_id
        self._region = region
        self._registries: dict[str, list[str]] = {}
        self._registered: set[str] = set()
        self._lock = threading.Lock()

    def follow(self, task: Task, registries: Sequence[Mapping[str, Any]]) -> None:
        """Register `task` with these registries for as long as it is ready."""
        with self._lock:
            self._registries[task.id] = [
                registry["registryArn"].rsplit("/", 1)[-1] for registry in registries
            ]
        self.sync(task)

    def sync(self, task: Task) -> None:
        """Bring the registration in line with the task's state."""
        with self._lock:
            services = self._registries.get(task.id, [])
            if task.ready and task.id not in self._registered:
                self._registered.add(task.id)
                for service_id in services:
                    self._register(task, service_id)
            elif task.stopping:
                self._registered.discard(task.id)
                self._registries.pop(task.id, None)
                for service_id in services:
                    self._deregister(task, service_id)

    def _register(self, task: Task, service_id: str) -> None:
        backend = servicediscovery_backends[self._account_id][self._region]
        if service_id not in backend.services:
            return
        attributes = {
            "AWS_INSTANCE_IPV4": task.placement.address,
            "AVAILABILITY_ZONE": f"{self._region}a",
            "REGION": self._region,
            "ECS_CLUSTER_NAME": task.cluster_name,
            "ECS_SERVICE_NAME": task.placement.group.partition(":")[2],
            "ECS_TASK_DEFINITION_FAMILY": task.definition.family,
        }
        backend.register_instance(service_id, task.id, task.id, attributes)

    def _deregister(self, task: Task, service_id: str) -> None:
        backend = servicediscovery_backends[self._account_id][self._region]
        service = backend.services.get(service_id)
        if service and any(one.instance_id == task.id for one in service.instances):
            backend.deregister_instance(service_id, task.id)
