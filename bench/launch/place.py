"""Where launchers are measured: the local account, in a process of its own.

The account and the code location are those of the tests. Tasks stay in PROVISIONING, so that
nothing else than the launch is at work on this machine.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import sqlalchemy

from run_isolation.dagster.deployment import MANIFEST
from tests.e2e.storage import postgres_programs, server
from tests.runtime.dagster.account import CALLER, LOCATION, PARAMETER, Account, Stack
from tests.runtime.dagster.conftest import PROBE, serve
from tests.waiting import eventually

METADATA: Final = "ECS_CONTAINER_METADATA_URI_V4"
FOREVER_SECONDS: Final = 24 * 3600


@dataclass(frozen=True)
class Storage:
    """Databases of Dagster's: on Postgres, as on AWS, or in SQLite where there is no server.

    Attributes:
        name: Which of the two.
        url: Of the server's own database, with Postgres.
        directory: Of the databases, with SQLite.
    """

    name: str
    url: str
    directory: Path

    def new(self, name: str) -> Mapping[str, Any]:
        """``storage`` of dagster.yaml with an empty database."""
        if not self.url:
            return {"sqlite": {"base_dir": str(self.directory / name)}}
        engine = sqlalchemy.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return {"postgres": {"postgres_url": f"{self.url.rpartition('/')[0]}/{name}"}}


@dataclass(frozen=True)
class Place:
    """The account with a deployment.

    Attributes:
        stack: The deployment.
        standing_task: ARN of the task that serves the code location.
        metadata_uri: Of a task that launches, as ECS tells it to the task's container.
        storage: Dagster's.
        directory: For homes.
    """

    stack: Stack
    standing_task: str
    metadata_uri: str
    storage: Storage
    directory: Path

    @property
    def account(self) -> Account:
        """The AWS account."""
        return self.stack.account

    @property
    def vpc(self) -> str:
        """Id of the VPC that tasks run in."""
        subnets = self.account.client("ec2").describe_subnets(SubnetIds=[self.stack.subnet])
        return str(subnets["Subnets"][0]["VpcId"])

    def reset(self, call_seconds: float = 0.0) -> None:
        """Forgets all calls. From now on each AWS call takes so much longer.

        A task's metadata, which is served on its own host, stays as quick as it is.
        """
        self.account.forget()
        self.account.fault("slow_task", seconds=FOREVER_SECONDS, times=None)
        if call_seconds:
            self.account.fault(
                "delay", service="*", operation="*", seconds=call_seconds, times=None
            )

    def stop_tasks(self) -> None:
        """Stops all tasks that wait for their start."""
        self.account.forget()
        ecs, cluster = self.stack.ecs, self.stack.cluster
        for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster):
            for start in range(0, len(page["taskArns"]), 100):
                arns = page["taskArns"][start : start + 100]
                for task in ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]:
                    if task["lastStatus"] == "PROVISIONING":
                        ecs.stop_task(cluster=cluster, task=task["taskArn"])


@contextmanager
def place(directory: Path) -> Iterator[Place]:
    """Opens it; this process's environment is that of the account meanwhile."""
    images = directory / "images"
    shutil.copytree(PROBE, images / LOCATION)
    with ExitStack() as exits:
        account = exits.enter_context(Account.running(directory / "account", images))
        names = {"AWS_ACCESS_KEY_ID": CALLER, MANIFEST: PARAMETER}
        exits.enter_context(patch.dict(os.environ, account.environment | names))
        stack = Stack(account, directory / "ours")
        stack.up()
        standing_task = serve(stack)
        uri = _metadata_uri(stack, directory / "uri")
        yield Place(
            stack, standing_task, uri, exits.enter_context(opened_storage(directory)), directory
        )


@contextmanager
def opened_storage(directory: Path) -> Iterator[Storage]:
    """Postgres where its programs are found, else SQLite."""
    programs = postgres_programs()
    if programs is None:
        yield Storage("SQLite", "", directory)
        return
    with server(programs) as url:
        yield Storage("Postgres", url, directory)


def _metadata_uri(stack: Stack, file: Path) -> str:
    """What ECS tells the container of a task like the one that a user's daemon runs in."""
    script = f'echo "${METADATA}" > {file}.draft && mv {file}.draft {file} && exec sleep infinity'
    stack.run_task(stack.register("daemon", ["sh", "-c", script]))
    eventually(file.exists, "a task that launches has started")
    return file.read_text().strip()
