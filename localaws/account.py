"""An AWS account on this machine."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from unittest.mock import patch

import boto3
from botocore.config import Config
from moto.core.base_backend import BackendDict
from moto.ecs.models import EC2ContainerServiceBackend, ecs_backends
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket
from moto.servicediscovery.models import ServiceDiscoveryBackend, servicediscovery_backends

from localaws.calls import Calls
from localaws.cloudmap import LocalServiceDiscoveryBackend
from localaws.conditions import Conditions
from localaws.dns import Dns
from localaws.ecs.addresses import Addresses
from localaws.ecs.backend import LocalEcsBackend
from localaws.ecs.bubblewrap import sandboxes
from localaws.ecs.cgroups import limits_or_none
from localaws.ecs.host import Host
from localaws.ecs.images import Images
from localaws.ecs.metadata import Metadata
from localaws.ecs.responses import AnsweringEcsBackend
from localaws.ecs.sandbox import ContainerFiles, NoSandbox, Sandbox
from localaws.ecs.task import Task
from localaws.faults import Faults
from localaws.iam.decisions import Decisions
from localaws.iam.guard import Guard
from localaws.iam.identities import Identities
from localaws.server import Server

ACCOUNT_ID = "000000000000"

#: Seconds that tasks have after SIGTERM when the account closes, whatever their stopTimeout.
CLOSING_GRACE = 5.0

_log = logging.getLogger(__name__)

# moto's state is the process's: there is one account at a time.
_ALIVE = threading.Lock()


class LocalAccount:
    """AWS on one machine: moto's APIs, and ECS tasks that run as processes.

    Use it as a context manager, or call `start` and `close`. A process has one account at a time.

    Args:
        image_root: Holds the directory of each image; see `localaws.ecs.images`.
        state_dir: For the account's own files; made when missing.
        port: Of the endpoint on 127.0.0.1, 0 for a free one.
        region: The region of `client` and `environment`; any region works.
        python: The environment of Python of images that name none; that of this process where None.
        apart: Whether tasks are kept apart, where the machine can; see `localaws.ecs.bubblewrap`.
        limits: Whether tasks get the CPU and memory of their definition, where the machine can.
        start_delay_seconds: How long each task stays in PROVISIONING.
        first_check_seconds: How often health checks look at a container until it is healthy, where
            that is more often than their interval; for tests. None: as on AWS.
        conditions: What takes time on AWS, and its quotas; None for the usual ones.
    """

    def __init__(
        self,
        image_root: Path,
        state_dir: Path,
        port: int = 0,
        *,
        region: str = "us-east-1",
        python: Path | None = None,
        apart: bool = True,
        limits: bool = True,
        start_delay_seconds: float = 0.0,
        first_check_seconds: float | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        self.region = region
        self.conditions = conditions or Conditions()
        self.faults = Faults()
        self.calls = Calls()
        self.decisions = Decisions()
        self.identities = Identities(ACCOUNT_ID)
        self._image_root = image_root
        self._state_dir = state_dir
        self._port = port
        self._python = python
        self._apart = apart
        self._mounts: dict[str, Path] = {}
        self._limits = limits
        self._start_delay = start_delay_seconds
        self._first_check = first_check_seconds
        self.remarks: list[str] = []
        self._sessions: dict[str, boto3.Session] = {}
        self._sessions_lock = threading.Lock()

    def start(self) -> None:
        """Start the account.

        Raises:
            RuntimeError: This process has one already.
            OSError: The port is taken.
        """
        if not _ALIVE.acquire(blocking=False):
            raise RuntimeError("this process has a LocalAccount already: close it, or share it")
        try:
            self._start()
        except BaseException:
            _ALIVE.release()
            raise

    def _start(self) -> None:
        BackendDict.reset()
        metadata = Metadata()
        guard = Guard(ACCOUNT_ID, self.identities, self.decisions, self.conditions)
        self._server = Server(
            ACCOUNT_ID,
            self._port,
            self.calls,
            self.faults,
            metadata,
            guard,
            self.decisions,
            self.conditions,
        )
        self._dns = Dns(ACCOUNT_ID)
        self._addresses = Addresses(self.conditions)
        self._scratch = self._state_dir / "tasks"
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)
        # The account's keys, and files of tasks, are nobody else's on this machine.
        self._state_dir.chmod(0o700)
        self._sandbox = (
            sandboxes(self._scratch / "trial", self._remark) if self._apart else NoSandbox
        )
        host = Host(
            account_id=ACCOUNT_ID,
            endpoint_url=self.endpoint_url,
            environment=self._without_credentials(),
            guard=guard,
            images=Images(self._image_root, self._python),
            addresses=self._addresses,
            cgroups=limits_or_none(self._remark) if self._limits else None,
            faults=self.faults,
            metadata=metadata,
            sandbox=self._sandbox,
            mounts=self._mounts,
            scratch=self._scratch,
            start_delay_seconds=self._start_delay,
            first_check_seconds=self._first_check,
            conditions=self.conditions,
        )
        ecs_backends.backend = partial(AnsweringEcsBackend, host)  # type: ignore[assignment]
        servicediscovery_backends.backend = LocalServiceDiscoveryBackend
        # The guard has read the bucket's policy already; moto knows no conditions of requests
        # (moto/iam/access_control.py).
        self._no_second_opinion = patch.object(
            FakeBucket, "get_permission", lambda *request: PermissionResult.NEUTRAL
        )
        self._no_second_opinion.start()
        self._dns.start()
        self._server.start()

    def close(self) -> None:
        """Stop all tasks and then the account."""
        for regions in list(ecs_backends.values()):
            for backend in list(regions.values()):
                cast(LocalEcsBackend, backend).close(CLOSING_GRACE)
        self._server.close()
        self._dns.close()
        self._addresses.close()
        ecs_backends.backend = EC2ContainerServiceBackend
        servicediscovery_backends.backend = ServiceDiscoveryBackend
        self._no_second_opinion.stop()
        BackendDict.reset()
        shutil.rmtree(self._scratch, ignore_errors=True)
        _ALIVE.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def mount(self, directory: Path) -> None:
        """Let every task that starts from now on find a directory at its own path, and write to it.

        AWS has no such thing: it is for SQLite, and for tests that talk with their tasks' code.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._mounts[str(directory)] = directory

    @property
    def sandbox(self) -> Callable[[ContainerFiles], Sandbox]:
        """Make a place like those of tasks, for a process beside them."""
        return self._sandbox

    @property
    def endpoint_url(self) -> str:
        """The endpoint of every service."""
        return self._server.endpoint_url

    @property
    def dns(self) -> str:
        """Host and port of the name server."""
        return self._dns.address

    def environment(self) -> dict[str, str]:
        """Return the environment variables that make a process use this account, as its root."""
        return self._without_credentials() | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_SESSION_TOKEN": self.identities.root_token,
        }

    def role_environment(self, role_arn: str, name: str) -> dict[str, str]:
        """Return the environment variables that make a process use this account as a role.

        Args:
            role_arn: The role; it may be made later.
            name: The session's name, by which `calls` and `decisions` tell the process's calls.
        """
        session = self.identities.open(role_arn, name)
        return self._without_credentials() | Identities.environment(session, self.endpoint_url)

    def _remark(self, line: str) -> None:
        """What this machine does not allow."""
        self.remarks.append(line)
        _log.warning(line)

    def _without_credentials(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "LOCALAWS_DNS": self.dns,
        }

    def client(self, service: str, *, caller: str = "test", **options: Any) -> Any:
        """Return a boto3 client of this account.

        Args:
            service: Its boto3 name.
            caller: The access key id, by which `calls` tells its calls from others.
            options: More arguments of boto3's `Session.client`.
        """
        # DiscoverInstances would go to "data-127.0.0.1".
        config = Config(inject_host_prefix=False).merge(options.pop("config", Config()))
        options |= {"endpoint_url": self.endpoint_url, "config": config}
        # A session keeps the services' models, and is not thread-safe while it makes a client.
        with self._sessions_lock:
            if caller not in self._sessions:
                self._sessions[caller] = boto3.Session(
                    caller, "test", self.identities.root_token, region_name=self.region
                )
            return self._sessions[caller].client(service, **options)  # type: ignore[call-overload]

    def ecs(self, region: str | None = None) -> LocalEcsBackend:
        """Return the ECS of a region, for what no API offers (waiting, forgetting tokens)."""
        return cast(LocalEcsBackend, ecs_backends[ACCOUNT_ID][region or self.region])

    def task(self, arn: str) -> Task:
        """Return a task by its ARN, to wait for its states.

        Raises:
            KeyError: There is none.
        """
        return self.ecs(arn.split(":")[3]).task(arn)
