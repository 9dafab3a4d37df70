"""ECS's API operations that concern tasks and services; all others are moto's."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.ecs.exceptions import ECSException, InvalidParameterException, ServiceNotFoundException
from moto.ecs.responses import EC2ContainerServiceResponse

from localaws.ecs import placement as placing
from localaws.ecs import protection
from localaws.ecs.backend import LocalEcsBackend
from localaws.ecs.definition import check_definition
from localaws.ecs.service import Service
from localaws.ecs.states import Status
from localaws.ecs.task import Task

#: Entries per page where the caller names no number:
#: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html
_PAGE = 100


class LocalEcsResponse(EC2ContainerServiceResponse):
    """Answers ECS requests."""

    @property
    def local(self) -> LocalEcsBackend:
        """The region's backend."""
        return cast(LocalEcsBackend, self.ecs_backend)

    def _cluster(self) -> Any:
        return self.local.active_cluster(self.params.get("cluster") or "default")

    def register_task_definition(self) -> ActionResult:
        """RegisterTaskDefinition, with Fargate's checks."""
        check_definition(self.params)
        return super().register_task_definition()

    def create_cluster(self) -> ActionResult:
        """CreateCluster; an ACTIVE one of that name is returned as it is."""
        name = self.params.get("clusterName") or "default"
        cluster = self.local.clusters.get(name)
        if cluster is not None and cluster.status == "ACTIVE":
            return ActionResult({"cluster": cluster})
        return super().create_cluster()

    def delete_cluster(self) -> ActionResult:
        """DeleteCluster; refused while it has services or tasks."""
        cluster = self.local.active_cluster(self.params["cluster"])
        services = self._services(cluster)
        if any(one.status != "INACTIVE" for one in services):
            raise ECSException(
                "ClusterContainsServicesException",
                "The Cluster cannot be deleted while Services are active.",
            )
        if any(task.status is not Status.STOPPED for task in self.local.tasks_of(cluster)):
            raise ECSException(
                "ClusterContainsTasksException",
                "The Cluster cannot be deleted while Tasks are active.",
            )
        return super().delete_cluster()

    def describe_clusters(self) -> ActionResult:
        """DescribeClusters, with the counts of this moment."""
        for cluster in self.local.clusters.values():
            tasks = [task.status for task in self.local.tasks_of(cluster)]
            cluster.running_tasks_count = tasks.count(Status.RUNNING)
            cluster.pending_tasks_count = sum(s.order < Status.RUNNING.order for s in tasks)
            cluster.active_services_count = sum(
                one.status == "ACTIVE" for one in self._services(cluster)
            )
        return super().describe_clusters()

    def run_task(self) -> ActionResult:
        """RunTask."""
        return ActionResult(self.local.launch(self.params))

    def describe_tasks(self) -> ActionResult:
        """DescribeTasks."""
        return ActionResult(self.local.show_tasks(self.params))

    def stop_task(self) -> ActionResult:
        """StopTask."""
        cluster = self.params.get("cluster") or "default"
        task = self.local.halt(cluster, self.params["task"], self.params.get("reason"))
        return ActionResult({"task": task.describe()})

    def list_tasks(self) -> ActionResult:
        """ListTasks. `startedBy` must be the only filter, as the documentation says."""
        params = self.params
        filters = {"family", "serviceName", "desiredStatus", "launchType", "containerInstance"}
        if params.get("startedBy") and (others := sorted(filters & params.keys())):
            raise InvalidParameterException(
                f"startedBy must be the only filter of ListTasks; leave out {', '.join(others)}."
            )
        desired = params.get("desiredStatus") or "RUNNING"
        wanted: dict[str, Callable[[Task], str | None]] = {
            "family": lambda task: task.definition.family,
            "startedBy": lambda task: task.placement.started_by,
            "serviceName": lambda task: task.placement.group.partition("service:")[2],
            "launchType": lambda task: task.placement.shown.get("launchType"),
        }
        if name := params.get("serviceName"):
            params = params | {"serviceName": name.rsplit("/", 1)[-1]}
        found = [
            task.task_arn
            for task in self.local.tasks_of(self._cluster())
            if task.desired_status == desired
            and all(get(task) == params[key] for key, get in wanted.items() if params.get(key))
        ]
        return self._page("taskArns", found)

    def update_task_protection(self) -> ActionResult:
        """UpdateTaskProtection."""
        enabled = bool(self.params["protectionEnabled"])
        minutes = self.params.get("expiresInMinutes")
        return self._protections(
            lambda task: protection.protect(task, enabled=enabled, minutes=minutes)
        )

    def get_task_protection(self) -> ActionResult:
        """GetTaskProtection."""
        return self._protections(lambda task: None)

    def _protections(self, act: Callable[[Task], dict[str, str] | None]) -> ActionResult:
        cluster = self._cluster()
        names = self.params.get("tasks") or []
        if not 1 <= len(names) <= 10:
            raise InvalidParameterException("Name 1 to 10 tasks.")
        protected, failures = [], []
        for name in names:
            task = self.local.find_task(cluster, name)
            failure = act(task) if task else {"arn": name, "reason": "MISSING"}
            if failure:
                failures.append(failure)
            elif task:
                protected.append(protection.describe(task))
        return ActionResult({"protectedTasks": protected, "failures": failures})

    def create_service(self) -> ActionResult:
        """CreateService."""
        cluster, params, local = self._cluster(), self.params, self.local
        old = local.services.get(f"{cluster.name}:{params['serviceName']}")
        if old is not None and old.status == "ACTIVE":
            raise InvalidParameterException("Creation of service was not idempotent.")
        if old is not None and old.status == "DRAINING":
            raise InvalidParameterException("Unable to Start a service that is still Draining.")
        placing.check_network(params, local.account_id, local.region_name)
        placing.check_capacity(params, cluster)
        placing.check_tags(params.get("tags") or [])
        definition = local.find_definition(params["taskDefinition"])
        service = Service(cluster.arn, params | {"taskDefinition": definition.arn})
        # moto finds the tags of a service here.
        local.services[f"{cluster.name}:{service.name}"] = service  # type: ignore[assignment]
        local.scheduler.add(service)
        return ActionResult({"service": service.describe(tags=True)})

    def update_service(self) -> ActionResult:
        """UpdateService."""
        local = self.local
        with local.scheduler.lock:
            service = self._service(self.params["service"])
            if service.status != "ACTIVE":
                raise ECSException("ServiceNotActiveException", "Service was not ACTIVE.")
            changes = {
                key: value
                for key, value in self.params.items()
                if key not in ("cluster", "service", "forceNewDeployment")
            }
            if name := changes.get("taskDefinition"):
                changes["taskDefinition"] = local.find_definition(name).arn
            if "networkConfiguration" in changes:
                placing.check_network(changes, local.account_id, local.region_name)
            service.update(changes, force=bool(self.params.get("forceNewDeployment")))
            shown = service.describe(tags=True)
        local.scheduler.wake()
        return ActionResult({"service": shown})

    def delete_service(self) -> ActionResult:
        """DeleteService; its tasks are stopped, and then it is INACTIVE."""
        local = self.local
        with local.scheduler.lock:
            service = self._service(self.params["service"])
            if service.status == "ACTIVE":
                if service.desired > 0 and not self.params.get("force"):
                    raise InvalidParameterException(
                        "The service cannot be stopped while it is scaled above 0."
                    )
                service.status = "DRAINING"
            shown = service.describe()
        local.scheduler.wake()
        return ActionResult({"service": shown})

    def describe_services(self) -> ActionResult:
        """DescribeServices."""
        cluster = self._cluster()
        names = self.params.get("services") or []
        if not 1 <= len(names) <= 10:
            raise InvalidParameterException("Name 1 to 10 services.")
        tags = "TAGS" in (self.params.get("include") or [])
        shown, failures = [], []
        with self.local.scheduler.lock:
            for name in names:
                try:
                    shown.append(self._service(name).describe(tags=tags))
                except ServiceNotFoundException:
                    prefix = cluster.arn.replace(":cluster/", ":service/")
                    arn = name if name.startswith("arn:") else f"{prefix}/{name}"
                    failures.append({"arn": arn, "reason": "MISSING"})
        return ActionResult({"services": shown, "failures": failures})

    def list_services(self) -> ActionResult:
        """ListServices."""
        services = [one for one in self._services(self._cluster()) if one.status != "INACTIVE"]
        return self._page("serviceArns", sorted(one.arn for one in services))

    def start_task(self) -> ActionResult:
        """StartTask: needs EC2 instances."""
        raise InvalidParameterException("localaws runs Fargate tasks only: use RunTask.")

    def create_task_set(self) -> ActionResult:
        """CreateTaskSet: needs the EXTERNAL deployment controller."""
        raise InvalidParameterException("localaws has the ECS deployment controller only.")

    def _services(self, cluster: Any) -> list[Service]:
        services = cast(list[Service], list(self.local.services.values()))
        return [one for one in services if one.cluster_arn == cluster.arn]

    def _service(self, name: str) -> Service:
        for service in self._services(self._cluster()):
            if name in (service.arn, service.name):
                return service
        raise ServiceNotFoundException

    def _page(self, key: str, entries: list[str]) -> ActionResult:
        start = int(self.params.get("nextToken") or 0)
        end = start + int(self.params.get("maxResults") or _PAGE)
        page: dict[str, Any] = {key: entries[start:end]}
        if end < len(entries):
            page["nextToken"] = str(end)
        return ActionResult(page)


class AnsweringEcsBackend(LocalEcsBackend):
    """The ECS of one region, with these operations."""

    @property
    def _url_module(self) -> Any:
        # moto derives this from the class's module; ours answers with our own handlers.
        return SimpleNamespace(
            url_bases=[r"https?://ecs\.(.+)\.amazonaws\.com"],
            url_paths={"{0}/$": LocalEcsResponse.dispatch},
        )
