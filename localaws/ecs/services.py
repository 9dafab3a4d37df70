"""The service scheduler: as many ready tasks as each service wants, of its newest deployment."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from functools import partial

from moto.core.exceptions import ServiceException

from localaws.ecs.plan import plan
from localaws.ecs.service import Deployment, Service
from localaws.ecs.states import Health, Status, utcnow
from localaws.ecs.task import Task

#: A task that ran this long, in seconds, ends a streak of failures.
STABLE_AFTER = 30.0
#: Seconds before a service's next task after a streak of failures: the first replacement starts at
#: once, then the pause doubles. (ECS's own throttle ends at 15 minutes:
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html)
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
#: Seconds after a task that could not be placed at all, for want of a role or of room.
PLACEMENT_PAUSE = 2.0


#: The `stoppedReason` of a task whose health check failed.
UNHEALTHY = "Task failed container health checks"


class Services:
    """The services of one region, and the thread that keeps them as they should be.

    Args:
        launch: Starts one task of a deployment.
        lock: Guards the services; held while `launch` is called.
    """

    def __init__(
        self, launch: Callable[[Service, Deployment], Task], lock: threading.RLock
    ) -> None:
        self._launch = launch
        self.lock = lock
        self._services: dict[str, Service] = {}
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, service: Service) -> None:
        """Take care of a service."""
        with self.lock:
            self._services[service.arn] = service
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ecs-services", daemon=True)
                self._thread.start()
        self.wake()

    def wake(self) -> None:
        """Look at the services again: something has changed."""
        self._wake.set()

    def close(self) -> None:
        """Start and stop no further task."""
        self._closed = True
        self.wake()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        pause: float | None = None
        while not self._closed:
            self._wake.wait(pause)
            self._wake.clear()
            with self.lock:
                pauses = [
                    self._reconcile(one) for one in self._services.values() if not self._closed
                ]
            pause = min(pauses, default=math.inf)
            pause = None if pause == math.inf else pause

    def _reconcile(self, service: Service) -> float:
        """Do a service's next step; return in how many seconds it needs another look."""
        if service.status == "INACTIVE":
            return math.inf
        for deployment in service.deployments:
            _account_for(service, deployment)
        _break_circuit(service)
        service.deployments = [d for d in service.deployments if d is service.primary or _lives(d)]
        primary = service.primary
        old = [task for one in service.deployments[1:] for task in one.tasks]
        step = plan(service.desired, service.most, service.least_ready, primary.tasks, old)
        for task in step.stop:
            reason = f"Scaling activity initiated by (deployment {primary.id})"
            task.request_stop("ServiceSchedulerInitiated", reason)
        wait = self._start(service, primary, step.start)
        _conclude(service)
        return min([wait, *(_protected_for(task) for task in [*primary.tasks, *old])])

    def _start(self, service: Service, deployment: Deployment, count: int) -> float:
        """Start `count` tasks; return in how many seconds it may be tried again."""
        if deployment.state == "FAILED":
            return math.inf
        for _ in range(count):
            wait = deployment.resume_at - time.monotonic()
            if wait > 0:
                return wait
            try:
                task = self._launch(service, deployment)
            except ServiceException as error:
                service.tell(f"was unable to place a task. Reason: {error.message}")
                _fail(deployment)
                # Another try at once would find the same.
                again = time.monotonic() + PLACEMENT_PAUSE
                deployment.resume_at = max(deployment.resume_at, again)
                continue
            task.may_be_protected = partial(service.has_room_to_protect, task)
            deployment.tasks.append(task)
            service.tell(f"has started 1 tasks: (task {task.id}).")
        wait = deployment.resume_at - time.monotonic()
        return wait if wait > 0 else math.inf


def _lives(deployment: Deployment) -> bool:
    return deployment.pending > 0 or deployment.running > 0


def _protected_for(task: Task) -> float:
    """Return in how many seconds a protection ends that may keep a task from being stopped."""
    if task.protected_until is None or not task.protected:
        return math.inf
    return max(0.0, (task.protected_until - utcnow()).total_seconds())


def _account_for(service: Service, deployment: Deployment) -> None:
    """Take note of tasks that became ready, fell ill or ended."""
    for task in list(deployment.tasks):
        if task.ready:
            deployment.once_ready.add(task.id)
        if task.health is Health.UNHEALTHY and not task.stopping:
            service.tell(f"(task {task.id}) failed container health checks.")
            task.request_stop("ServiceSchedulerInitiated", UNHEALTHY)
        if task.stopping and task.id not in deployment.ended:
            deployment.ended.add(task.id)
            asked = task.stop_code in ("ServiceSchedulerInitiated", "UserInitiated")
            if not asked or task.stopped_reason == UNHEALTHY:
                _fail(deployment, after=task)
        if task.status is Status.STOPPED:
            deployment.tasks.remove(task)


def _fail(deployment: Deployment, after: Task | None = None) -> None:
    """Count a failure, and pause before the next start."""
    if after is None or after.id not in deployment.once_ready:
        deployment.failed += 1
    started = after.moments.get("startedAt") if after else None
    stable = started is not None and (utcnow() - started).total_seconds() > STABLE_AFTER
    deployment.streak = 1 if stable else deployment.streak + 1
    pause = 0.0 if deployment.streak < 2 else FIRST_PAUSE * 2 ** min(deployment.streak - 2, 10)
    deployment.resume_at = time.monotonic() + min(pause, LONGEST_PAUSE)


def _break_circuit(service: Service) -> None:
    """Fail a deployment whose tasks do not start, and roll back where that is asked for.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
    """
    primary = service.primary
    breaker = service.configuration["deploymentCircuitBreaker"]
    threshold = min(200, max(3, math.ceil(service.desired / 2)))
    if not breaker["enable"] or primary.state != "IN_PROGRESS" or primary.failed < threshold:
        return
    primary.go("FAILED", "ECS deployment circuit breaker: tasks failed to start.")
    service.tell(f"(deployment {primary.id}) deployment failed: tasks failed to start.")
    if breaker["rollback"] and service.completed is not None:
        back = service.deploy(service.completed)
        primary.reason = f"ECS deployment circuit breaker: rolling back to deploymentId {back.id}."
        service.tell(f"rolling back to (deployment {back.id}).")


def _conclude(service: Service) -> None:
    """Say so when the service has what it wants."""
    primary = service.primary
    if service.status == "DRAINING":
        if not any(_lives(one) for one in service.deployments):
            service.status = "INACTIVE"
        return
    ready = sum(task.ready for task in primary.tasks)
    if ready < service.desired or len(service.deployments) > 1 or primary.state == "FAILED":
        return
    if primary.state == "IN_PROGRESS":
        primary.go("COMPLETED", f"ECS deployment {primary.id} completed.")
        service.completed = primary.settings
        service.tell(f"(deployment {primary.id}) deployment completed.")
    if not service.steady:
        service.steady = True
        service.tell("has reached a steady state.")
