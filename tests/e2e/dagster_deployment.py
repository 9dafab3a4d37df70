"""A whole deployment on this machine: a stack in the local account, a webserver and a daemon.

Everything is done as a user does it: the stack by Pulumi's engine, the Dagster home by
`run-isolation dagster-home`, the processes by `run-isolation webserver` and `daemon`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from localaws.account import LocalAccount
from localaws.calls import Call
from localaws.ecs.images import Image, ImageConfig
from localaws.ecs.sandbox import ContainerFiles, Sandbox
from run_isolation.dagster.deployment import MANIFEST
from run_isolation.dagster.home.workspace import RESOLVER
from run_isolation.slots.item import Holder
from run_isolation.slots.slots import Slots
from tests import quick_daemon
from tests.deployment.conftest import probe
from tests.deployment.stack import Changes, DeployedStack
from tests.e2e import rights
from tests.e2e.control_plane import ControlPlaneRole
from tests.e2e.page import Page
from tests.e2e.programs import BIN, Program
from tests.e2e.runs import NON_ISOLATED, Run, Work
from tests.e2e.storage import Storage
from tests.waiting import eventually
from tools.environments import ensure_environment
from tools.ports import free_port

PROBE, OTHER = "probe", "other"
"""The two code locations. Both have the probe's jobs, so that a run can tell which it is in."""

STANDING = {"cpu": 1024, "memory": 2048}
"""A standing container that starts a run in 2 seconds, where the default size takes 8."""

_HERE: Mapping[str, Any] = {"standing": STANDING, "workingDirectory": "/app/files"}

LOCATIONS: Mapping[str, Any] = {
    PROBE: {**probe("1"), **_HERE},
    # Its assets are others: Dagster wants each in one code location only. Its runs are spawned.
    OTHER: {**probe("1"), **_HERE, "module": "probe.jobs", "warmStart": False},
}

CONTROL_PLANE = ("webserver", "daemon")
FIRST_USER = 1_000_000
"""The kernel users of the control plane's processes begin here, below those of tasks."""

ON: Mapping[str, Any] = {"enabled": True}
"""Settings of most tests: non-isolated runs, one at a time, by hand."""

INSTANCE: Mapping[str, Any] = {
    # `instance.dagsterYaml` of the stack's config. The limits are what tests are about.
    "run_queue": {
        "max_concurrent_runs": 6,
        "tag_concurrency_limits": [{"key": "probe/group", "value": "limited", "limit": 1}],
    },
    "concurrency": {"pools": {"granularity": "run"}},
    "run_monitoring": {"poll_interval_seconds": 2},
}

OWN: Mapping[str, Any] = {"telemetry": {"enabled": False}}
"""What a user has in the control plane's own dagster.yaml."""


@dataclass
class DagsterDeployment:
    """The deployment as its owner uses it.

    Attributes:
        stack: Its stack; change it by `up`.
        account: The AWS account, for what the AWS side says.
        directory: For the Dagster home, logs and the files of runs.
        storage: Dagster's.
        webserver: The process of the page; `restart_webserver` waits until it answers.
        daemon: Dagster's daemon.
        page: The page.
    """

    stack: DeployedStack
    account: LocalAccount
    directory: Path
    storage: Storage
    webserver: Program = field(init=False)
    daemon: Program = field(init=False)
    page: Page = field(init=False)
    runs: list[Run] = field(default_factory=list, init=False)
    """Runs that a test has started and nobody has seen end yet."""
    control_plane: ControlPlaneRole = field(init=False)
    """The role of webserver and daemon."""
    _config: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.account.mount(self.work_directory)
        name = f"{self.stack.name}-control-plane"
        self.control_plane = ControlPlaneRole(self.account.client("iam"), name)
        port = free_port()
        self.page = Page(f"http://127.0.0.1:{port}")
        self.home.mkdir(parents=True)
        self.webserver = self._program("webserver", "-h", "127.0.0.1", "-p", str(port))
        self.daemon = self._program("daemon")

    @property
    def home(self) -> Path:
        """DAGSTER_HOME."""
        return self.directory / "home"

    @property
    def work_directory(self) -> Path:
        """Where runs and tests exchange files."""
        return self.directory / "work"

    def environment(self, caller: str) -> dict[str, str]:
        """The environment of a process of the user's, who is the account's root.

        Args:
            caller: By which AWS's record names it: its access key id.
        """
        keys = {**self.account.environment(), "AWS_ACCESS_KEY_ID": caller}
        own = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        return {**own, **keys, **self._own_environment}

    @property
    def _own_environment(self) -> dict[str, str]:
        return {
            "DAGSTER_HOME": str(self.home),
            MANIFEST: f"/run-isolation/{self.stack.name}/manifest",
            RESOLVER: self.account.dns,
        }

    def _program(self, name: str, *options: str) -> Program:
        role = self.account.role_environment(self.control_plane.arn, name)
        return Program(
            name,
            ["run-isolation", name, *options],
            self.home,
            {**role, **self._own_environment},
            self.directory / f"{name}.log",
            self._machine(name),
        )

    def _machine(self, name: str) -> Sandbox:
        """Where webserver or daemon runs: with a user, files and an environment of its own."""
        mounts = [self.home, *([self.storage.shared] if self.storage.shared else [])]
        app = self.directory / name
        app.mkdir()
        shutil.copy(quick_daemon.__file__, app)
        number = CONTROL_PLANE.index(name)
        files = ContainerFiles(
            image=Image(app, ImageConfig(User=name), ensure_environment("control-plane")),
            own=self.directory / f"{name}-files",
            address="127.0.0.1",
            user=FIRST_USER + number,
            mounts={str(one): one for one in mounts},
            init=True,
        )
        return self.account.sandbox(files)

    def command(self, *words: str, caller: str = "person") -> str:
        """What a command of the environment's `bin`, run in the Dagster home, says.

        Raises:
            AssertionError: It failed.
        """
        done = subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            cwd=self.home,
            env=self.environment(caller),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{words} exits with {done.returncode}\n{done.stderr}"
        return done.stdout

    def up(
        self,
        non_isolated_runs: Mapping[str, Any] | None = None,
        locations: Mapping[str, Any] | None = None,
        instance: Mapping[str, Any] | None = None,
    ) -> Changes | None:
        """`pulumi up` with these settings, code locations and `instance`; what is not given stays.

        A changed instance is not yet in the Dagster home: see `take_on_instance`.

        Returns:
            What it did, or None where the stack is so already.
        """
        config = {
            "aws:region": "us-east-1",
            "run-isolation:instance": {**self.storage.instance, "dagsterYaml": dict(INSTANCE)},
            "run-isolation:protect": False,
            "run-isolation:codeLocations": LOCATIONS,
            "run-isolation:deploymentSettings": {"non_isolated_runs": {}},
            **self._config,
        }
        if non_isolated_runs is not None:
            settings = {"non_isolated_runs": dict(non_isolated_runs)}
            config["run-isolation:deploymentSettings"] = settings
        if locations is not None:
            config["run-isolation:codeLocations"] = locations
        if instance is not None:
            config["run-isolation:instance"] = dict(instance)
        if config == self._config:
            return None
        # As a user writes it, without the YAML anchors of values that are there twice.
        self.stack.write(yaml.safe_load(yaml.safe_dump(config)))
        changes = self.stack.up()
        self.control_plane.attach(changes.outputs["launcherPolicyArns"])
        self._config = config
        return changes

    def write_home(self) -> str:
        """`run-isolation dagster-home`: what it says."""
        return self.command("run-isolation", "dagster-home")

    def take_on_instance(self) -> None:
        """`run-isolation dagster-home` after a change of the instance, and both programs anew."""
        self.write_home()
        self.webserver.stop()
        self.daemon.stop()
        self.start_webserver()
        self.daemon.start()

    def start_webserver(self) -> None:
        """Start the webserver; return when the page is there."""
        self.webserver.start()
        eventually(
            lambda: self.page.answers or not self.webserver.alive,
            lambda: f"the webserver answers\n{self.webserver.said()}",
        )
        assert self.webserver.alive, self.webserver.said()

    def launch(
        self,
        job: str = "work_job",
        *,
        location: str = PROBE,
        asked: bool = True,
        held: bool = True,
        op: str = "work",
        tags: Mapping[str, str] | None = None,
        **config: Any,
    ) -> Run:
        """Launch a run from the page.

        Args:
            job: Its job.
            location: Its code location.
            asked: Whether it asks not to be isolated.
            held: Whether its code waits until the test says go.
            op: The op that `config` is for.
            tags: More tags.
            config: More of the op's config: `fail`, `ignore_signals` ...
        """
        work = self.work(op=op, held=held, **config)
        given = {**(NON_ISOLATED if asked else {}), **(tags or {})}
        run_id = self.page.launch(job, location=location, tags=given, config=work.config())
        return self.run(run_id, work)

    def work(self, *, op: str = "work", held: bool = True, **config: Any) -> Work:
        """Run config for a run that is launched in another way."""
        return Work(self.work_directory, op, held, config)

    def run(self, run_id: str, work: Work | None = None) -> Run:
        """A run that was launched in another way. It is ended with the test."""
        run = Run(run_id, self.page, work)
        self.runs.append(run)
        return run

    @property
    def table(self) -> str:
        """The name of the slot table."""
        return f"run-isolation-{self.stack.name}-slots"

    @property
    def slots(self) -> Slots:
        """The deployment's slot table."""
        return Slots(self.account.client("dynamodb"), self.table)

    @property
    def holders(self) -> tuple[Holder, ...]:
        """Who holds a slot now."""
        return self.slots.holders()

    def wait_for_free_slots(self, seconds: float = 60) -> None:
        """Wait until nobody holds a slot."""
        eventually(lambda: not self.holders, lambda: f"no holders, but {self.holders}", seconds)

    @property
    def cluster(self) -> str:
        """The name of the ECS cluster."""
        return f"run-isolation-{self.stack.name}"

    def serves(self, location: str = PROBE) -> bool:
        """Whether the one task of a location's service is healthy, and the page has loaded it.

        While nobody answers for more than ten seconds, the page shows the location as an error.
        """
        ecs = self.account.client("ecs")
        arns = ecs.list_tasks(cluster=self.cluster, serviceName=location)["taskArns"]
        healthy = [self.task(arn)["healthStatus"] for arn in arns] == ["HEALTHY"]
        return healthy and self.shows(location)

    def shows(self, location: str = PROBE) -> bool:
        """Whether the page has loaded a location's jobs."""
        return self.page.job_tags("work_job", location=location) is not None

    def isolated_tasks(self, location: str = PROBE) -> set[str]:
        """ARNs of all isolated tasks that a code location ever had."""
        ecs = self.account.client("ecs")
        family = f"{self.cluster}-{location}-isolated"
        return {
            arn
            for status in ("RUNNING", "STOPPED")
            for page in ecs.get_paginator("list_tasks").paginate(
                cluster=self.cluster, family=family, desiredStatus=status
            )
            for arn in page["taskArns"]
        }

    def tasks_of(self, run: Run) -> set[str]:
        """ARNs of all tasks that were started for a run."""
        return {arn for arn in self.isolated_tasks() if self.task(arn)["startedBy"] == run.id}

    def run_task_calls(self) -> list[Call]:
        """Every call of RunTask, by whomever."""
        return [call for call in self.account.calls.all("ecs") if call.operation == "RunTask"]

    def standing_task(self, location: str = PROBE) -> str:
        """ARN of the one running task of a code location's service."""
        ecs = self.account.client("ecs")
        [arn] = ecs.list_tasks(cluster=self.cluster, serviceName=location)["taskArns"]
        return str(arn)

    def task(self, arn: str) -> dict[str, Any]:
        """A task as DescribeTasks shows it."""
        ecs = self.account.client("ecs")
        [task] = ecs.describe_tasks(cluster=self.cluster, tasks=[arn])["tasks"]
        return dict(task)

    def wait_for_stopped(self, arn: str, seconds: float = 30) -> dict[str, Any]:
        """A task once it is STOPPED."""
        self.account.task(arn).wait_for("STOPPED", seconds)
        return self.task(arn)

    def settle(self) -> None:
        """End what a test left going on: no run, no holder, both programs alive."""
        if not self.webserver.alive:
            self.webserver.stop()
            self.start_webserver()
        if not self.daemon.alive:
            self.daemon.stop()
            self.daemon.start()
        for run in self.runs:
            if self.page.run(run.id) is not None:
                # The page's other way to terminate refuses runs that are STARTING.
                run.cancel(force=True)
        self.runs.clear()
        self.wait_for_free_slots()
        eventually(self.shows, "the page has loaded the location")


@contextmanager
def deployed(
    stack: DeployedStack, account: LocalAccount, directory: Path, storage: Storage
) -> Iterator[DagsterDeployment]:
    """Bring a deployment up, with both programs, and take it down again."""
    deployment = DagsterDeployment(stack, account, directory, storage)
    try:
        deployment.up()
        (deployment.home / "dagster.yaml").write_text(yaml.safe_dump(dict(OWN)))
        deployment.write_home()
        # The first process that opens the instance makes its tables.
        deployment.start_webserver()
        deployment.daemon.start()
        yield deployment
    finally:
        deployment.daemon.stop()
        deployment.webserver.stop()
        rights.write_report(account, stack.name)
        deployment.control_plane.detach()
        stack.destroy()
    denied = rights.denied(account, stack.name)
    assert denied == [], denied
