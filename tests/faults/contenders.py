"""Launchers under test: a Dagster home, a daemon process and runs for each.

The account, the code, Dagster's own settings and the faults are the same for all of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget

from run_isolation.dagster.deployment import MANIFEST
from run_isolation.isolated.waiting_runs import LAUNCH_SECONDS
from tests.e2e.programs import BIN, Program
from tests.runtime.dagster.account import CALLER, LOCATION, PARAMETER, PORT, Stack
from tests.runtime.dagster.launches import Launches

OURS: Final = "ours"
ECS_RUN_LAUNCHER: Final = "EcsRunLauncher"
"""dagster-aws's, as pinned in requirements.txt."""

START_TIMEOUT_SECONDS: Final = LAUNCH_SECONDS + 90
"""How long a run may be STARTING. Long enough for a daemon to wait until a launcher must be dead,
and to go on with its launches: a dozen of them at once, where the launcher was killed at each
step."""

_SETTINGS: Final[Mapping[str, Any]] = {
    "run_monitoring": {
        "enabled": True,
        "start_timeout_seconds": START_TIMEOUT_SECONDS,
        "cancel_timeout_seconds": 15,
        "poll_interval_seconds": 1,
    },
    "telemetry": {"enabled": False},
}
_QUEUE: Final[Mapping[str, Any]] = {"dequeue_interval_seconds": 1, "max_concurrent_runs": -1}
_DAEMONS: Final = {
    OURS: [str(BIN / "run-isolation"), "daemon"],
    ECS_RUN_LAUNCHER: [str(BIN / "dagster-daemon"), "run"],
}
_QUICK_DAEMONS: Final = {**_DAEMONS, OURS: [sys.executable, "-m", "tests.quick_daemon"]}


@dataclass
class Contender:
    """One launcher with its own Dagster instance."""

    name: str
    home: Path
    stack: Stack
    launches: Launches
    daemon: Program

    @property
    def instance(self) -> DagsterInstance:
        """The instance as the test's process has it open."""
        return self.launches.instance

    @contextmanager
    def start_timeout(self, seconds: int) -> Iterator[None]:
        """Another start timeout meanwhile, as after a restart with other settings."""
        path = self.home / "dagster.yaml"
        before = path.read_text()
        config = yaml.safe_load(before)
        config["run_monitoring"]["start_timeout_seconds"] = seconds
        self._restart(yaml.safe_dump(config))
        try:
            yield
        finally:
            self._restart(before)

    def _restart(self, settings: str) -> None:
        self.daemon.stop()
        (self.home / "dagster.yaml").write_text(settings)
        self.daemon.start()


def environment(stack: Stack, home: Path, name: str = OURS) -> dict[str, str]:
    """What a process of the user's has in its environment: ours has the launcher's role.

    EcsRunLauncher asks for more, and is the account's root.
    """
    own = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    root = {**stack.account.environment, "AWS_ACCESS_KEY_ID": CALLER}
    return {
        **own,
        **(stack.launcher if name == OURS else root),
        "DAGSTER_HOME": str(home),
        MANIFEST: PARAMETER,
    }


@contextmanager
def contender(
    name: str, stack: Stack, standing_task: str, directory: Path, *, quick: bool
) -> Iterator[Contender]:
    """Opens the instance and starts the daemon. The environment must be that of the account.

    Args:
        name: Which launcher.
        stack: The deployment.
        standing_task: ARN of the task that serves the code location.
        directory: For home, storage and logs; not there yet.
        quick: Whether our daemon is on a quicker clock.
    """
    directory.mkdir(parents=True)
    home = directory / "home"
    home.mkdir()
    config = _config(name, stack, directory) | dict(_SETTINGS)
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    serve_at(home, stack, standing_task)
    daemon = Program(
        f"daemon of {name}",
        [*(_QUICK_DAEMONS if quick else _DAEMONS)[name], "-w", str(home / "servers.yaml")],
        home,
        environment(stack, home, name),
        directory / "daemon.log",
    )
    with ExitStack() as exits:
        instance = exits.enter_context(DagsterInstance.from_config(str(home)))
        launches = exits.enter_context(launches_at(instance, stack, standing_task))
        exits.callback(daemon.stop)
        daemon.start()
        yield Contender(name, home, stack, launches, daemon)


@contextmanager
def launches_at(instance: DagsterInstance, stack: Stack, standing_task: str) -> Iterator[Launches]:
    """Runs of the jobs that a standing task serves."""
    target = GrpcServerTarget(stack.address(standing_task), PORT, None, LOCATION)
    with WorkspaceProcessContext(instance, target) as process_context:
        yield Launches(instance, process_context)


def serve_at(home: Path, stack: Stack, standing_task: str) -> None:
    """Writes the workspace: the code location is served by this task."""
    server = {"host": stack.address(standing_task), "port": PORT, "location_name": LOCATION}
    workspace = {"load_from": [{"grpc_server": server}]}
    (home / "servers.yaml").write_text(yaml.safe_dump(workspace))


def _config(name: str, stack: Stack, directory: Path) -> dict[str, Any]:
    """``dagster.yaml`` without the settings that all share."""
    if name == OURS:
        stack.store_in(directory / "storage")
        config = stack.instance.dagster_yaml
        return config | {"run_coordinator": config["run_coordinator"] | {"config": dict(_QUEUE)}}
    return {
        "storage": {"sqlite": {"base_dir": str(directory / "storage")}},
        "run_coordinator": {
            "module": "dagster",
            "class": "QueuedRunCoordinator",
            "config": dict(_QUEUE),
        },
        "run_launcher": pinned_ecs_run_launcher(stack),
    }


def pinned_ecs_run_launcher(stack: Stack) -> dict[str, Any]:
    """EcsRunLauncher at its best: all is named, so that it looks nothing up."""
    network = stack.manifest.network
    return {
        "module": "dagster_aws.ecs",
        "class": "EcsRunLauncher",
        "config": {
            "task_definition": stack.isolated_definition,
            "container_name": "dagster",
            "use_current_ecs_task_config": False,
            "secrets_tag": None,
            "run_task_kwargs": {
                "cluster": stack.cluster,
                "launchType": "FARGATE",
                "networkConfiguration": {
                    "awsvpcConfiguration": {
                        "subnets": network.subnets,
                        "securityGroups": network.security_groups,
                    }
                },
            },
        },
    }
