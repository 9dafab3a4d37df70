"""Takes a task through its life, from PROVISIONING to STOPPED."""

from __future__ import annotations

import shutil
import threading
import time

from localaws.ecs.cgroups import Group
from localaws.ecs.container import Container
from localaws.ecs.host import Host
from localaws.ecs.running_container import RunningContainer, StartError
from localaws.ecs.states import Status
from localaws.ecs.task import Task
from localaws.faults import DeadTask, NoContainers, SlowTask
from localaws.iam.identities import Session


class Runner:
    """Runs one task, in a thread of its own."""

    def __init__(self, task: Task, host: Host) -> None:
        self.task = task
        self._host = host
        self._files = host.scratch / task.id
        self._group: Group | None = None
        self._session: Session | None = None
        self._containers = [
            RunningContainer(task, container, host, self._container_ended)
            for container in task.containers
        ]

    def start(self) -> None:
        """Begin the task's life."""
        threading.Thread(target=self._live, name=f"task-{self.task.id}", daemon=True).start()

    def kill(self) -> None:
        """End the task's processes at once."""
        for container in self._containers:
            container.kill()

    def _live(self) -> None:
        try:
            self._begin()
        except StartError as error:
            if error.container is not None:
                error.container.reason = str(error)
            self.task.request_stop("TaskFailedToStart", str(error))
        except Exception as error:
            # The task must end and say why, whatever went wrong in here.
            self.task.request_stop("TaskFailedToStart", f"InternalError: {error!r}")
        self.task.wait_until(lambda task: task.stopping, None)
        self._end()

    def _begin(self) -> None:
        task = self.task
        slow = self._host.faults.take(SlowTask, task.describe())
        if self._stopped_within(slow.seconds if slow else self._host.start_delay_seconds):
            return
        task.advance(Status.PENDING)
        if dead := self._host.faults.take(DeadTask, task.describe()):
            task.hide_containers = dead.hide_containers
            task.request_stop(dead.stop_code, dead.reason)
            return
        self._files.mkdir(parents=True)
        self._host.metadata.add(task)
        credentials = self._take_role_on()
        if self._host.cgroups is not None:
            self._group = self._host.cgroups.group(task.id)
            self._group.limit(task.spec.cpu, task.spec.memory)
            self._group.allow_children()
        for container in self._containers:
            container.prepare(credentials, self._group)
        task.advance(Status.ACTIVATING)
        for container in self._containers:
            container.start()
        task.advance(Status.RUNNING)

    def _take_role_on(self) -> dict[str, str]:
        """Return the environment variables that lead to the credentials of the task's role.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
        """
        # Without a role there are none, least of all those of this machine.
        nobody = {"AWS_EC2_METADATA_DISABLED": "true"}
        if not self.task.spec.role:
            return nobody
        identities = self._host.guard.identities
        self._session = identities.open(self.task.spec.role, self.task.id)
        return nobody | identities.environment(self._session, self._host.endpoint_url)

    def _stopped_within(self, seconds: float) -> bool:
        try:
            self.task.wait_until(lambda task: task.stopping, seconds)
        except TimeoutError:
            return False
        return True

    def _container_ended(self, container: Container) -> None:
        # The last container's end is the task's too, also where none is essential.
        over = all(one.last_status == "STOPPED" for one in self.task.containers)
        if container.spec.essential or over:
            self.task.request_stop("EssentialContainerExited", "Essential container in task exited")

    def _end(self) -> None:
        task = self.task
        if task.status is Status.RUNNING:
            task.advance(Status.DEACTIVATING)
        task.advance(Status.STOPPING)
        now = time.monotonic()
        for container in self._containers:
            container.terminate()
        for container in self._containers:
            container.end(now + container.container.spec.stop_timeout)
            container.container.last_status = "STOPPED"
        if self._group is not None:
            self._group.remove()
        task.advance(Status.DEPROVISIONING)
        self._host.metadata.remove(task)
        if self._session is not None:
            self._host.guard.identities.close(self._session)
        self._host.addresses.give_back(task.placement.address, task.spec.ports)
        shutil.rmtree(self._files, ignore_errors=True)
        if self._host.faults.take(NoContainers, task.describe()):
            task.hide_containers = True
        task.advance(Status.STOPPED)
