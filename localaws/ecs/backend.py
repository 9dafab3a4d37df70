"""moto's ECS, with tasks that run."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from moto.ecs.exceptions import (
    ClusterNotFoundException,
    EcsClientException,
    InvalidParameterException,
)
from moto.ecs.models import EC2ContainerServiceBackend

from localaws.ecs import placement as placing
from localaws.ecs.client_tokens import ClientTokens
from localaws.ecs.definition import TaskSpec, resolve
from localaws.ecs.discovery import Discovery
from localaws.ecs.host import Host
from localaws.ecs.interfaces import Interfaces
from localaws.ecs.runner import Runner
from localaws.ecs.service import Deployment, Service
from localaws.ecs.services import Services
from localaws.ecs.states import Status, utcnow
from localaws.ecs.task import Placement, Task
from localaws.faults import MissingTasks, RunTaskFailures
from localaws.quotas import NO_VCPUS

#: "stopped tasks ... at least one hour":
#: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
STOPPED_TASKS_STAY = timedelta(hours=1)


class LocalEcsBackend(EC2ContainerServiceBackend):
    """The ECS of one region. Task definitions, clusters and tags are moto's.

    Args:
        host: The machine that tasks run on.
        region_name: The region.
        account_id: The account.
    """

    def __init__(self, host: Host, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.host = host
        self.tokens = ClientTokens()
        self._lock = threading.RLock()
        self._tasks: dict[str, Task] = {}
        self._runners: dict[str, Runner] = {}
        self._revisions: dict[str, int] = {}
        self._registered_at: dict[str, float] = {}
        self._discovery = Discovery(account_id, region_name, host.conditions)
        self._interfaces = Interfaces(account_id, region_name)
        self._quotas = host.guard.quotas
        self.scheduler = Services(self._launch_for, self._lock)

    def reset(self) -> None:
        """Stop all tasks and forget everything."""
        self.close(grace=0.0)
        self.__init__(self.host, self.region_name, self.account_id)  # type: ignore[misc]

    # Clusters and task definitions

    def active_cluster(self, name: str) -> Any:
        """Return moto's cluster of that name or ARN.

        Raises:
            ClusterNotFoundException: There is none, or it is INACTIVE.
        """
        cluster = self._get_cluster(name)
        if cluster.status != "ACTIVE":
            raise ClusterNotFoundException
        return cluster

    def tasks_of(self, cluster: Any) -> list[Task]:
        """Return the cluster's tasks; those stopped for an hour are forgotten."""
        with self._lock:
            horizon = utcnow() - STOPPED_TASKS_STAY
            for task in list(self._tasks.values()):
                if (stopped := task.moments.get("stoppedAt")) and stopped < horizon:
                    del self._tasks[task.id]
                    self.tasks[task.cluster_name].pop(task.task_arn, None)
            return [t for t in self._tasks.values() if t.placement.cluster_arn == cluster.arn]

    def _get_last_task_definition_revision_id(self, family: str) -> int:
        return self._revisions.get(family, 0)

    def register_task_definition(self, family: str, *args: Any, **kwargs: Any) -> Any:
        """Register a revision; its number is never used again, also after its deletion."""
        with self._lock:
            registered = super().register_task_definition(family, *args, **kwargs)
            self._revisions[family] = registered.revision
            self._registered_at[registered.arn] = time.monotonic()
        return registered

    def find_definition(self, name: str) -> Any:
        """Return moto's task definition by ARN, `family:revision`, or family: its latest ACTIVE.

        Raises:
            EcsClientException: There is none, or it is INACTIVE.
        """
        name = name.rsplit("/", 1)[-1]
        family, _, revision = name.partition(":")
        known = self.task_definitions.get(family, {})
        if revision:
            found = known.get(int(revision)) if revision.isdigit() else None
        else:
            active = [number for number, one in known.items() if one.status == "ACTIVE"]
            found = known[max(active)] if active else None
        if found is None:
            raise EcsClientException("TaskDefinition not found.")
        if found.status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        return found

    def _check_age(self, definition: Any) -> None:
        """Raise for a revision that is too new to be known everywhere."""
        age = time.monotonic() - self._registered_at[definition.arn]
        if age < self.host.conditions.definition_lag_seconds:
            raise EcsClientException("TaskDefinition not found.")

    # Tasks

    def launch(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out RunTask; return its answer."""
        cluster = self.active_cluster(params.get("cluster") or "default")
        with self._lock:
            if replayed := self.tokens.replay(cluster.name, params):
                return replayed
            count = placing.check_run_task(params)
            definition = self.find_definition(params["taskDefinition"])
            self._check_age(definition)
            spec = resolve(definition, params.get("overrides") or {})
            self._check_trust(spec, cluster.arn)
            where = self._place(cluster, definition, params)
            failures: Sequence[Mapping[str, str]] = ()
            room = self._quotas.room(spec.cpu, self._tasks.values())
            if room is not None and room < count:
                count, failures = room, [{"reason": NO_VCPUS}] * (count - room)
            fault = self.host.faults.take(RunTaskFailures, params, "ecs", "RunTask")
            if fault is not None:
                count, failures = min(fault.placed, count), fault.failures
            tasks = [self._run(definition, spec, where) for _ in range(count)]
            self.tokens.remember(cluster.name, params, tasks, failures)
        return {
            "tasks": [task.describe(tags=True) for task in tasks],
            "failures": [dict(one) for one in failures],
        }

    def _place(
        self, cluster: Any, definition: Any, params: Mapping[str, Any], *, from_tags: Any = ()
    ) -> dict[str, Any]:
        """Return the arguments of `Placement` that all tasks of a launch share."""
        network = placing.check_network(params, self.account_id, self.region_name)
        inherited = (
            definition.tags if params.get("propagateTags") == "TASK_DEFINITION" else from_tags
        )
        placing.check_tags(params.get("tags") or [])
        tags = placing.merge_tags(inherited, params.get("tags") or [])
        return {
            "cluster_arn": cluster.arn,
            "region": self.region_name,
            "group": params.get("group") or f"family:{definition.family}",
            "started_by": params.get("startedBy") or "",
            "network": network,
            "tags": tags,
            "shown": placing.check_capacity(params, cluster),
        }

    def _check_trust(self, spec: TaskSpec, cluster_arn: str) -> None:
        """Raise where ECS may not take on a role of the task.

        https://repost.aws/knowledge-center/ecs-unable-to-assume-role
        """
        # The task does not exist yet.
        source = f"{cluster_arn.replace(':cluster/', ':task/')}/*"
        for role in filter(None, {spec.execution_role, spec.role}):
            if not self.host.guard.trusts(role, self.region_name, source):
                raise EcsClientException(
                    f"ECS was unable to assume the role '{role}' that was provided for this task. "
                    "Please verify that the role being passed has the proper trust relationship "
                    "and permissions and that your IAM user has permissions to pass this role."
                )

    def _run(self, definition: Any, spec: TaskSpec, where: Mapping[str, Any]) -> Task:
        address = self.host.addresses.take()
        interface = self._interfaces.create(where["network"], address)
        place = Placement(address=address, interface=interface, **where)
        task = Task(definition, spec, place, self._task_changed)
        self._tasks[task.id] = task
        # moto finds the tags of a task here.
        self.tasks.setdefault(task.cluster_name, {})[task.task_arn] = task  # type: ignore[assignment]
        self._runners[task.id] = runner = Runner(task, self.host)
        runner.start()
        return task

    def _launch_for(self, service: Service, deployment: Deployment) -> Task:
        """Start one task of a service's deployment."""
        cluster = self.active_cluster(service.cluster_name)
        definition = self.find_definition(deployment.settings["taskDefinition"])
        params = {
            **deployment.settings,
            "propagateTags": service.settings.get("propagateTags"),
            "startedBy": deployment.id,
            "group": f"service:{service.name}",
        }
        inherited = service.tags if params["propagateTags"] == "SERVICE" else ()
        where = self._place(cluster, definition, params, from_tags=inherited)
        spec = resolve(definition, {})
        if self._quotas.room(spec.cpu, self._tasks.values()) == 0:
            raise EcsClientException(f"{NO_VCPUS}.")
        self._check_trust(spec, cluster.arn)
        task = self._run(definition, spec, where)
        self._discovery.follow(task, deployment.settings.get("serviceRegistries") or [])
        return task

    def _task_changed(self, task: Task) -> None:
        self._discovery.sync(task)
        if task.status is Status.STOPPED:
            self._runners.pop(task.id, None)
            self._interfaces.delete(task.placement.interface)
        self.scheduler.wake()

    def task(self, arn: str) -> Task:
        """Return a task by its ARN.

        Raises:
            KeyError: There is none.
        """
        return self._tasks[arn.rsplit("/", 1)[-1]]

    def find_task(self, cluster: Any, name: str) -> Task | None:
        """Return the cluster's task by ARN or id."""
        task = self._tasks.get(name.rsplit("/", 1)[-1])
        if task is None or task.placement.cluster_arn != cluster.arn:
            return None
        return task if ":" not in name or name == task.task_arn else None

    def halt(self, cluster_name: str, name: str, reason: str | None) -> Task:
        """Carry out StopTask."""
        task = self.find_task(self.active_cluster(cluster_name), name)
        if task is None:
            raise InvalidParameterException("The referenced task was not found.")
        task.request_stop("UserInitiated", reason or "Task stopped by user")
        return task

    def show_tasks(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out DescribeTasks; return its answer."""
        cluster = self.active_cluster(params.get("cluster") or "default")
        names = params.get("tasks") or []
        if not names:
            raise InvalidParameterException("Tasks cannot be empty.")
        if len(names) > 100:
            raise InvalidParameterException(
                "Task identifiers list is too long: at most 100 are allowed."
            )
        hidden = self.host.faults.take(MissingTasks, params, "ecs", "DescribeTasks") is not None
        tasks, failures = [], []
        tags = "TAGS" in (params.get("include") or [])
        for name in names:
            task = None if hidden else self.find_task(cluster, name)
            if task is None:
                prefix = cluster.arn.replace(":cluster/", ":task/")
                arn = name if name.startswith("arn:") else f"{prefix}/{name}"
                failures.append({"arn": arn, "reason": "MISSING"})
            else:
                tasks.append(task.describe(tags=tags))
        return {"tasks": tasks, "failures": failures}

    def close(self, grace: float) -> None:
        """Stop all tasks: SIGTERM, and after `grace` seconds SIGKILL."""
        self.scheduler.close()
        deadline = time.monotonic() + grace
        tasks = list(self._tasks.values())
        for task in tasks:
            task.request_stop("UserInitiated", "The local account is closing")
        for task in tasks:
            try:
                task.wait_for(Status.STOPPED, max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                if runner := self._runners.get(task.id):
                    runner.kill()
        for task in tasks:
            task.wait_for(Status.STOPPED, 10.0)
