"""One container's process, output, limits and health check."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping

from localaws.ecs import health, secrets
from localaws.ecs.addresses import kernel_user
from localaws.ecs.cgroups import Group
from localaws.ecs.container import Container
from localaws.ecs.execution import Execution
from localaws.ecs.host import Host
from localaws.ecs.images import Image, ImageNotFoundError
from localaws.ecs.logs import LogConfigurationError, LogStream
from localaws.ecs.process import ContainerProcess
from localaws.ecs.sandbox import ContainerFiles, Start
from localaws.ecs.states import utcnow
from localaws.ecs.task import Task

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

    def prepare(self, credentials: Mapping[str, str], parent: Group | None) -> None:
        """Find image, program, log group and secrets.

        Args:
            credentials: Environment variables that lead to those of the task's role.
            parent: The task's control group.

        Raises:
            StartError: One of them is missing, or not for the execution role.
        """
        spec = self.container.spec
        execution = Execution(self._host.guard, self._task)
        if refusal := execution.pull(spec.image):
            raise StartError(refusal, self.container)
        try:
            image = self._host.images.find(spec.image)
        except ImageNotFoundError as error:
            raise StartError(f"CannotPullContainerError: {error}", self.container) from error
        if parent is not None:
            self._group = Group(parent.hierarchy, spec.name)
            self._group.limit(spec.cpu, spec.memory or 0)
        self._sandbox = self._host.sandbox(self._files(image))
        self._argv = image.argv(spec.entry_point, spec.command)
        self._cwd = self._working_directory(image)
        region, account_id = self._task.placement.region, self._host.account_id
        try:
            hidden = secrets.resolve(spec.secrets, account_id, region, execution)
            self._log = LogStream(account_id, spec, self._task.id, execution)
        except (secrets.SecretUnavailableError, LogConfigurationError) as error:
            raise StartError(f"ResourceInitializationError: {error}", self.container) from error
        added = self._host.container_environment(self.container.runtime_id) | dict(credentials)
        given = dict(spec.environment) | hidden
        self._environment = self._sandbox.environment | added | given
        self._check_program()

    def start(self) -> None:
        """Start the process, and its health check."""
        spec = self.container.spec
        self.container.created_at = self.container.started_at = utcnow()
        self.container.last_status = "RUNNING"
        start = self._sandbox.start(self._argv, self._cwd, self._environment)
        self._process = self._spawn(start, self._log.write, self._finish)
        if self._killed:  # before there was a process
            self._process.kill()
        if spec.health_check is not None:
            threading.Thread(
                target=health.watch,
                args=(
                    spec.health_check,
                    lambda argv: self._spawn(self._sandbox.enter(argv, self._cwd)),
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
        self._killed = True
        if self._process is not None:
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
        start: Start,
        on_output: Callable[[bytes], None] = lambda chunk: None,
        on_exit: Callable[[int], None] = lambda code: None,
    ) -> ContainerProcess:
        return ContainerProcess(
            start,
            cgroups=self._group.procs if self._group else (),
            on_output=on_output,
            on_exit=on_exit,
        )

    def _files(self, image: Image) -> ContainerFiles:
        address = self._task.placement.address
        return ContainerFiles(
            image=image,
            own=self._host.scratch / self._task.id / self.container.spec.name,
            address=address,
            user=kernel_user(address),
            mounts=self._host.mounts,
            groups=self._group.places if self._group else {},
            init=self.container.spec.init,
        )

    def _working_directory(self, image: Image) -> str:
        """The directory of the command, as the container sees it.

        A container runtime makes a missing one
        (https://github.com/opencontainers/runc/blob/main/libcontainer/rootfs_linux.go); here the
        image can't be written to.
        """
        given = self.container.spec.working_directory or image.config.WorkingDir
        if not given.startswith("/"):
            problem = f'cwd "{given}" must be an absolute path'
            raise StartError(f"CannotStartContainerError: {problem}", self.container)
        given = os.path.normpath(given)
        directory = self._sandbox.find(given)
        if directory is None or not directory.is_dir():
            problem = f"workingDirectory {given}: there is no such directory in {image.directory}, "
            problem += f"which is {image.config.WorkingDir} in the container"
            raise StartError(f"CannotStartContainerError: {problem}", self.container)
        return given

    def _check_program(self) -> None:
        if not self._argv:
            raise StartError("CannotStartContainerError: no command specified", self.container)
        name = self._argv[0]
        # As the container's PATH leads to it, but found on this machine.
        places = [self._cwd] if "/" in name else self._environment["PATH"].split(os.pathsep)
        found = (self._sandbox.find(os.path.join(place, name)) for place in places)
        if not any(path and os.access(path, os.X_OK) and path.is_file() for path in found):
            raise StartError(
                "CannotStartContainerError: failed to create task for container: exec: "
                f'"{name}": executable file not found in $PATH',
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
