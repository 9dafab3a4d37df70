"""What launches happen in: an account, a standing container, one Dagster instance for all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import yaml
from dagster import DagsterInstance, DagsterRun
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget

from run_isolation import NonIsolatedRuns
from run_isolation.dagster.deployment import MANIFEST
from tests.faults.contenders import environment, serve_at
from tests.faults.theatre import PROBE
from tests.runtime.dagster.account import CALLER, LOCATION, PARAMETER, PORT, Account, Stack
from tests.runtime.dagster.conftest import serve
from tests.runtime.dagster.launches import NON_ISOLATED, Launches
from tests.torture.launches import bodies
from tests.torture.launches.ledger import Ledger
from tests.torture.launches.troubles import START_TIMEOUT_SECONDS, Launch, Place

SLOTS: Final = 2
CANCEL_TIMEOUT_SECONDS: Final = 20
_MOST_PER_CALL: Final = 100


@dataclass
class World:
    """Everything but the violence."""

    stack: Stack
    directory: Path
    launches: Launches
    stub_definition: str
    standing_task: str
    _pattern: DagsterRun | None = None

    @property
    def instance(self) -> DagsterInstance:
        """The instance, as this process has it open."""
        return self.launches.instance

    @property
    def environment(self) -> dict[str, str]:
        """Of every process of the user's."""
        return environment(self.stack, self.home)

    @property
    def home(self) -> Path:
        """The Dagster home of all processes."""
        return self.directory / "home"

    @property
    def ledger(self) -> Ledger:
        """Where executions are written down."""
        return bodies.ledger(self.directory)

    def create(self, launch: Launch) -> None:
        """Stores a run of that id; it is not submitted."""
        bodies.write(self.directory, launch.run_id, launch.body)
        if launch.place is Place.STUB:
            self.instance.add_run(self._stub(launch.run_id))
            return
        config = {"append_to": str(self.ledger.path), **_op_config(launch)}
        tags = NON_ISOLATED if launch.place is Place.STANDING else {}
        made = self.launches.create(config=config, tags=tags)
        self.instance.delete_run(made.run_id)
        self.instance.add_run(made._replace(run_id=launch.run_id))

    def _stub(self, run_id: str) -> DagsterRun:
        """A run like any other one, whose code location advertises the stub's task definition."""
        if self._pattern is None:
            made = self.launches.create()
            self.instance.delete_run(made.run_id)
            origin = made.job_code_origin
            assert origin is not None
            context = {"run_isolation": {"task_definition": self.stub_definition}}
            repository = origin.repository_origin._replace(container_context=context)
            self._pattern = made._replace(
                job_code_origin=origin._replace(repository_origin=repository)
            )
        return self._pattern._replace(run_id=run_id)

    def inject(self, fault: dict[str, Any]) -> str:
        """Puts a fault in force; returns its id."""
        return str(self.stack.account.administer("POST", "faults", fault)["id"])

    def retract(self, fault_id: str) -> None:
        """Takes a fault away."""
        self.stack.account.administer("DELETE", f"faults/{fault_id}")

    def tasks(self) -> list[dict[str, Any]]:
        """All tasks that were started for runs, as ECS shows them."""
        arns = [
            arn
            for status in ("RUNNING", "STOPPED")
            for page in self.stack.ecs.get_paginator("list_tasks").paginate(
                cluster=self.stack.cluster, desiredStatus=status
            )
            for arn in page["taskArns"]
            if arn != self.standing_task
        ]
        return [task for batch in _batches(sorted(set(arns))) for task in self._describe(batch)]

    def _describe(self, arns: Collection[str]) -> list[dict[str, Any]]:
        cluster = self.stack.cluster
        found: list[dict[str, Any]] = self.stack.ecs.describe_tasks(cluster=cluster, tasks=arns)[
            "tasks"
        ]
        return found


def _batches(arns: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(arns), _MOST_PER_CALL):
        yield arns[start : start + _MOST_PER_CALL]


def _op_config(launch: Launch) -> dict[str, Any]:
    """What a stub does, in the words of the probe's op."""
    config: dict[str, Any] = {"seconds": launch.body["seconds"]}
    match launch.body["end"]:
        case "fail":
            config["fail"] = True
        case "exit 0":
            config["exit_code"] = 0
        case "kill":
            config["exit_code"] = 137
        case "memory":
            config["fill_memory"] = True
    return config


@contextmanager
def world(directory: Path, *, claims: bool) -> Iterator[World]:
    """Opens it; this process's environment is that of the account meanwhile.

    Args:
        directory: For logs and data; empty.
        claims: Whether stub workers claim their runs.
    """
    images = directory / "images"
    shutil.copytree(PROBE, images / LOCATION)
    (directory / "bodies").mkdir()
    with ExitStack() as exits:
        account = exits.enter_context(Account.running(directory / "account", images, warm=True))
        names = {
            "AWS_ACCESS_KEY_ID": CALLER,
            MANIFEST: PARAMETER,
            "DAGSTER_HOME": str(directory / "home"),
        }
        exits.enter_context(patch.dict(os.environ, account.environment | names))
        stack = Stack(account, directory / "storage")
        stack.up()
        stack.configure(NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=SLOTS))
        standing_task = serve(stack)
        _write_home(directory / "home", stack, standing_task)
        instance = exits.enter_context(DagsterInstance.from_config(str(directory / "home")))
        target = GrpcServerTarget(stack.address(standing_task), PORT, None, LOCATION)
        context = exits.enter_context(WorkspaceProcessContext(instance, target))
        launches = Launches(instance, context)
        definition = _stub_definition(stack, directory, claims=claims)
        yield World(stack, directory, launches, definition, standing_task)
        assert account.denied() == []


def _write_home(home: Path, stack: Stack, standing_task: str) -> None:
    home.mkdir()
    monitoring = {
        "enabled": True,
        "start_timeout_seconds": START_TIMEOUT_SECONDS,
        "cancel_timeout_seconds": CANCEL_TIMEOUT_SECONDS,
        "max_resume_run_attempts": 0,
    }
    config = stack.instance.dagster_yaml
    config |= {"run_monitoring": monitoring, "telemetry": {"enabled": False}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    serve_at(home, stack, standing_task)


def _stub_definition(stack: Stack, directory: Path, *, claims: bool) -> str:
    """ARN of the task definition whose worker is the stub."""
    definition = stack.ecs.describe_task_definition(taskDefinition=stack.isolated_definition)[
        "taskDefinition"
    ]
    [container] = definition["containerDefinitions"]
    container["command"] = ["torture-stub"]
    container["environment"] += [
        {"name": bodies.DIRECTORY, "value": str(directory)},
        *([] if claims else [{"name": bodies.NO_CLAIM, "value": "1"}]),
    ]
    registered = stack.ecs.register_task_definition(
        # Of the same family: the launcher may run no other one.
        family=definition["family"],
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu=definition["cpu"],
        memory=definition["memory"],
        taskRoleArn=definition["taskRoleArn"],
        executionRoleArn=definition["executionRoleArn"],
        containerDefinitions=[container],
    )
    return str(registered["taskDefinition"]["taskDefinitionArn"])
