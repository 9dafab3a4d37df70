"""Takes a task through its life, from PROVISIONING to STOPPED."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from localaws.ecs import health, secrets
from localaws.ecs.cgroups import Group
from localaws.ecs.container import Container
from localaws.ecs.execution import Execution
from localaws.ecs.host import Host
from localaws.ecs.images import ImageNotFoundError
from localaws.ecs.logs import LogConfigurationError, LogStream
from localaws.ecs.process import ContainerProcess
from localaws.ecs.states import Status, utcnow
from localaws.ecs.task import Task
from localaws.faults import DeadTask, NoContainers, SlowTask
from localaws.iam.identities import Session

#: Docker's exit code of a container that SIGKILL ended.
KILLED = 137
#: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


class StartError(Exception):
    """The task cannot start; the text is its `stoppedReason`."""

    def __init__(self, reason: str, container: Container | None = None) -> None:
        super().__init__(reason)
        self.container = container


class RunningContainer:
    """One container's process, output, limits and health check."""

    def __init__(
        self, task: Task, container: Container, host: Host, on_exit: Callable[[Container], None]
    ) -> None:
        self._task = task
        self.container = container
        self._host = host
        self._on_exit = on_exit
        self._ended = threading.Event()
        self._group: Group | None = None
        self._process: ContainerProcess | None = None
        self._killed = False

    def prepare(self, credentials: Mapping[str, str]) -> None:
        """Find image, program, log group and secrets.

        Args:
            credentials: Environment variables that lead to those of the task's role.

        Raises:
            StartError: One of them is missing, or not for the execution role.
        """
        spec = self.container.spec
        execution = Execution(self._host.guard, self._task)
        if refusal := execution.pull(spec.image):
            raise StartError(refusal, self.container)
        try:
            directory = self._host.images.directory(spec.image)
        except ImageNotFoundError as error:
            raise StartError(f"CannotPullContainerError: {error}", self.container) from error
        self._cwd = self._working_directory(directory)
        region, account_id = self._task.placement.region, self._host.account_id
        try:
            hidden = secrets.resolve(spec.secrets, account_id, region, execution)
            self._log = LogStream(account_id, spec, self._task.id, execution)
        except (secrets.SecretUnavailableError, LogConfigurationError) as error:
            raise StartError(f"ResourceInitializationError: {error}", self.container) from error
        home = self._host.scratch / self._task.id
        base = self._host.container_environment(directory, home, self.container.runtime_id)
        self._environment = base | dict(credentials) | dict(spec.environment) | hidden
        self._check_program()

    def start(self, parent: Group | None) -> None:
        """Start the process, in a control group below the task's."""
        spec = self.container.spec
        if parent is not None:
            self._group = Group(parent.hierarchy, spec.name)
            self._group.limit(spec.cpu, spec.memory or 0)
        self.container.created_at = self.container.started_at = utcnow()
        self.container.last_status = "RUNNING"
        self._process = self._spawn(spec.argv, self._log.write, self._finish)
        if spec.health_check is not None:
            threading.Thread(
                target=health.watch,
                args=(
                    spec.health_check,
                    self._spawn,
                    lambda verdict: self._task.set_health(self.container, verdict),
                    self._ended,
                    self._host.first_check_seconds,
                ),
                name=f"health-{self._task.id}",
                daemon=True,
            ).start()

    def terminate(self) -> None:
        """Send SIGTERM to the container's command."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """Kill all of the container's processes."""
        if self._process is not None:
            self._killed = True
            self._process.kill()

    def end(self, deadline: float) -> None:
        """Wait until `deadline` (monotonic seconds), then kill; return when nothing is left."""
        process = self._process
        if process and process.wait(max(0.0, deadline - time.monotonic())) is None:
            self.kill()
            process.wait()
        if self._group is not None:
            self._group.remove()

    def _spawn(
        self,
        argv: tuple[str, ...],
        on_output: Callable[[bytes], None] = lambda chunk: None,
        on_exit: Callable[[int], None] = lambda code: None,
    ) -> ContainerProcess:
        return ContainerProcess(
            argv,
            env=self._environment,
            cwd=self._cwd,
            cgroups=self._group.procs if self._group else (),
            on_output=on_output,
            on_exit=on_exit,
        )

    def _working_directory(self, image: Path) -> Path:
        """The directory of the command; the image's own is its root and its WORKDIR.

        A container runtime makes a missing one, which here would write into the image
        (https://github.com/opencontainers/runc/blob/main/libcontainer/rootfs_linux.go).
        """
        given = self.container.spec.working_directory
        if given and not given.startswith("/"):
            problem = f'cwd "{given}" must be an absolute path'
            raise StartError(f"CannotStartContainerError: {problem}", self.container)
        directory = image / os.path.normpath(f"/{given}").lstrip("/")
        if not directory.is_dir():
            problem = f"workingDirectory {given}: there is no directory {directory}"
            raise StartError(f"CannotStartContainerError: {problem}", self.container)
        return directory

    def _check_program(self) -> None:
        argv = self.container.spec.argv
        if not argv:
            raise StartError("CannotStartContainerError: no command specified", self.container)
        path = self._environment["PATH"]
        program = str(self._cwd / argv[0]) if "/" in argv[0] else argv[0]
        if shutil.which(program, path=path) is None:
            raise StartError(
                "CannotStartContainerError: failed to create task for container: exec: "
                f'"{argv[0]}": executable file not found in $PATH',
                self.container,
            )

    def _finish(self, code: int) -> None:
        self._log.close()
        self._ended.set()
        self.container.exit_code = code
        if code == KILLED and not self._killed and self._group and self._group.out_of_memory():
            self.container.reason = OUT_OF_MEMORY
        self.container.last_status = "STOPPED"
        self._on_exit(self.container)


class Runner:
    """Runs one task, in a thread of its own."""

    def __init__(self, task: Task, host: Host) -> None:
        self.task = task
        self._host = host
        self._home = host.scratch / task.id
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
        self._home.mkdir(parents=True)
        self._host.metadata.add(task)
        credentials = self._take_role_on()
        for container in self._containers:
            container.prepare(credentials)
        task.advance(Status.ACTIVATING)
        if self._host.cgroups is not None:
            self._group = self._host.cgroups.group(task.id)
            self._group.limit(task.spec.cpu, task.spec.memory)
            self._group.allow_children()
        for container in self._containers:
            container.start(self._group)
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
        shutil.rmtree(self._home, ignore_errors=True)
        if self._host.faults.take(NoContainers, task.describe()):
            task.hide_containers = True
        task.advance(Status.STOPPED)
