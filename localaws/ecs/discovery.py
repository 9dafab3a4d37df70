"""Tasks of services in Cloud Map: what `serviceRegistries` promises."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from moto.servicediscovery.models import servicediscovery_backends

from localaws.conditions import Conditions
from localaws.ecs.states import Health, Status
from localaws.ecs.task import Task


class Discovery:
    """Keeps the Cloud Map instances of a region's service tasks up to date. Thread-safe.

    A task is registered in ACTIVATING, before it is RUNNING, and deregistered in DEACTIVATING,
    before its containers are told to stop:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
    In between ECS tells Cloud Map its health, where the registry has a custom health check:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-discovery.html

    Args:
        account_id: The account.
        region: The region.
        conditions: Say how much later Cloud Map goes by a change of health.
    """

    def __init__(self, account_id: str, region: str, conditions: Conditions) -> None:
        self._account_id = account_id
        self._region = region
        self._conditions = conditions
        self._registries: dict[str, list[str]] = {}
        #: The health that each registered task was said to have.
        self._told: dict[str, Health] = {}
        self._lock = threading.Lock()

    def follow(self, task: Task, registries: Sequence[Mapping[str, Any]]) -> None:
        """Keep `task` in these registries from ACTIVATING on, until it is to stop."""
        with self._lock:
            self._registries[task.id] = [
                registry["registryArn"].rsplit("/", 1)[-1] for registry in registries
            ]
        self.sync(task)

    def sync(self, task: Task) -> None:
        """Bring the registration in line with the task's state."""
        with self._lock:
            if task.id not in self._registries:
                return
            if task.stopping:
                self._told.pop(task.id, None)
                for service_id in self._registries.pop(task.id):
                    self._deregister(task, service_id)
            elif task.status.order >= Status.ACTIVATING.order:
                self._tell(task, Health.HEALTHY if task.ready else Health.UNHEALTHY)

    def _tell(self, task: Task, health: Health) -> None:
        told = self._told.get(task.id)
        if told is health:
            return
        self._told[task.id] = health
        if told is None:
            for service_id in self._registries[task.id]:
                self._register(task, service_id, health)
            return
        # As Cloud Map's own wait does, it ends with the health of that moment.
        timer = threading.Timer(self._conditions.health_lag_seconds, self._update, [task])
        timer.daemon = True
        timer.start()

    def _update(self, task: Task) -> None:
        with self._lock:
            for service_id in self._registries.get(task.id, []):
                service = self._backend.services.get(service_id)
                for instance in service.instances if service else []:
                    if instance.instance_id == task.id and service.health_check_custom_config:
                        instance.health_status = self._told[task.id].value

    @property
    def _backend(self) -> Any:
        return servicediscovery_backends[self._account_id][self._region]

    def _register(self, task: Task, service_id: str, health: Health) -> None:
        service = self._backend.services.get(service_id)
        if service is None:
            return
        attributes = {
            "AWS_INSTANCE_IPV4": task.placement.address,
            "AVAILABILITY_ZONE": f"{self._region}a",
            "REGION": self._region,
            "ECS_CLUSTER_NAME": task.cluster_name,
            "ECS_SERVICE_NAME": task.placement.group.partition(":")[2],
            "ECS_TASK_DEFINITION_FAMILY": task.definition.family,
        }
        if service.health_check_custom_config:
            attributes["AWS_INIT_HEALTH_STATUS"] = health.value
        self._backend.register_instance(service_id, task.id, task.id, attributes)

    def _deregister(self, task: Task, service_id: str) -> None:
        service = self._backend.services.get(service_id)
        if service and any(one.instance_id == task.id for one in service.instances):
            self._backend.deregister_instance(service_id, task.id)
