"""A local AWS account in a process of its own, and a deployment in it as infra/ would make it.

In its own process, because the tests of the core reset moto's state in theirs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import boto3

from localaws.iam.decisions import Ruling
from run_isolation import Instance, Location, Manifest, Network, NonIsolatedRuns, Size, Slots
from run_isolation.default_instance import default_dagster_yaml, local_logs, sqlite
from run_isolation.instance import VERSION
from run_isolation.table import HASH_KEY
from run_isolation.table import LOCATION as LOCATION_VARIABLE
from run_isolation.table import TABLE as TABLE_VARIABLE
from tests.runtime.dagster.roles import LAUNCHER, make_roles
from tests.runtime.tables import configure
from tests.waiting import PATIENCE_SECONDS, eventually
from tests.warm_tasks import warm_tasks

PARAMETER = "/run-isolation/test/manifest"
TABLE = "run-isolation-test-slots"
LOG_GROUP = "/run-isolation/test/probe"
LOCATION = "probe"
PORT = 4000
CONTROL_PORT = 4001
CALLER = "launcher"
"""Who the code under test in this process is: its calls are told from others' by it."""
ACCOUNT_ID = "000000000000"
HEALTH_CHECK = Path(__file__).parents[3] / "infra" / "health_check.py"
STANDING = Size(cpu=1024, memory=2048)


@dataclass(frozen=True, eq=False)
class Account:
    """The account's endpoint, and what processes need in their environment to use it.

    Attributes:
        environment: What they need.
        path: PATH of containers; empty where it is the account's own.
    """

    environment: dict[str, str]
    path: str = ""

    @classmethod
    @contextmanager
    def running(cls, directory: Path, images: Path, *, warm: bool = False) -> Iterator[Self]:
        """Until the block ends.

        Args:
            directory: For the account's files.
            images: Where images are.
            warm: Whether workers are forked (`tests.warm_tasks`).
        """
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "localaws", "--together"),
                *("--state-dir", str(directory), "--image-root", str(images)),
            ],
            stdout=subprocess.DEVNULL,
        )
        ready = directory / "ready.json"
        try:
            eventually(lambda: ready.exists() or process.poll() is not None)
            environment = json.loads(ready.read_text())["environment"]
            with ExitStack() as exits:
                place = directory / "warm"
                path = exits.enter_context(warm_tasks(place, environment)) if warm else ""
                yield cls(environment, path)
        finally:
            process.terminate()
            # It waits for the ends of its tasks, which takes long on a machine that is busy.
            process.wait(timeout=PATIENCE_SECONDS)

    @cache  # noqa: B019  # lives as long as the tests
    def client(self, service: str) -> Any:
        token = self.environment["AWS_SESSION_TOKEN"]
        return boto3.Session("test", "test", token, region_name="us-east-1").client(  # type: ignore[call-overload]
            service, endpoint_url=self.environment["AWS_ENDPOINT_URL"]
        )

    def session(self, role: str, name: str) -> dict[str, str]:
        """What processes of a role need in their environment to use the account.

        Args:
            role: The role's ARN.
            name: The session's, by which its calls are told from others'.
        """
        opened = self.administer("POST", "sessions", {"role": role, "name": name})
        # Fetched here: tests count the calls of processes, and a fault may be about each of them.
        with urllib.request.urlopen(opened["AWS_CONTAINER_CREDENTIALS_FULL_URI"]) as response:
            keys = json.load(response)
        return self.environment | {
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["Token"],
        }

    def fault(self, kind: str, **fields: object) -> None:
        """Puts a fault of localaws in force."""
        self.administer("POST", "faults", {"kind": kind, **fields})

    def change(self, **conditions: float) -> None:
        """Changes how unkind the account is."""
        self.administer("PATCH", "conditions", conditions)

    def hits(self) -> int:
        """How often the faults in force have struck."""
        return sum(fault["hits"] for fault in self.administer("GET", "faults"))

    def calls(self, caller: str = CALLER) -> list[str]:
        """Names of the API calls of the code under test in this process, since ``forget``.

        Args:
            caller: Or of a task of this id.
        """
        return [call["operation"] for call in self._calls(caller)]

    def sent(self, operation: str) -> list[dict[str, Any]]:
        """What those of one name were given."""
        return [call["params"] for call in self._calls() if call["operation"] == operation]

    def _calls(self, caller: str = CALLER) -> list[dict[str, Any]]:
        return [call for call in self.administer("GET", "calls") if call["caller"] == caller]

    def rulings(self) -> list[Ruling]:
        """What IAM decided."""
        return [Ruling(**one) for one in self.administer("GET", "decisions")]

    def denied(self) -> list[str]:
        """What roles asked for and must not have."""
        return sorted(
            {
                f"{one.role}: {one.action} on {one.resource}, for {one.call}"
                for one in self.rulings()
                if not one.allowed
            }
        )

    def forget(self) -> None:
        """Takes all faults away and forgets all calls."""
        self.administer("DELETE", "faults")
        self.administer("DELETE", "calls")

    def administer(self, method: str, what: str, content: object = None) -> Any:
        """Asks the account's own paths."""
        request = urllib.request.Request(
            f"{self.environment['AWS_ENDPOINT_URL']}/_localaws/{what}",
            method=method,
            data=json.dumps(content).encode() if content else None,
            headers={"X-Amz-Security-Token": self.environment["AWS_SESSION_TOKEN"]},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            body = response.read()
        return json.loads(body) if body else None


@dataclass
class Stack:
    """A deployment ``test`` with one code location ``probe``."""

    account: Account
    sqlite_directory: Path
    """The same for as long as the stack is there: a standing container opens it again and again."""
    dagster_yaml: dict[str, Any] = field(default_factory=dict)
    """Keys in place of the defaults, or beside them."""
    _older_tasks: frozenset[str] = frozenset()

    @cached_property
    def ecs(self) -> Any:
        return self.account.client("ecs")

    @cached_property
    def cluster(self) -> str:
        return str(
            self.ecs.create_cluster(clusterName="run-isolation-test")["cluster"]["clusterArn"]
        )

    @cached_property
    def subnet(self) -> str:
        return str(self.account.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"])

    @property
    def instance(self) -> Instance:
        """The newest version of the Dagster instance."""
        directory = str(self.sqlite_directory)
        return Instance(
            dagster_yaml=default_dagster_yaml(sqlite(directory), local_logs(directory))
            | self.dagster_yaml
        )

    @property
    def manifest(self) -> Manifest:
        return Manifest(
            deployment="test",
            account=ACCOUNT_ID,
            region="us-east-1",
            cluster=self.cluster,
            table=TABLE,
            network=Network(subnets=[self.subnet], security_groups=[]),
            instance_version=self.instance.version,
            locations={
                LOCATION: Location(
                    host=f"{LOCATION}.test.run-isolation.internal",
                    port=PORT,
                    standing=STANDING,
                    isolated=Size(cpu=1024, memory=2048),
                    log_group=LOG_GROUP,
                )
            },
        )

    @cached_property
    def roles(self) -> dict[str, str]:
        """ARNs of roles, by kind of task, of ECS and of the launcher."""
        return make_roles(self.account.client("iam"), ACCOUNT_ID, "us-east-1")

    @cached_property
    def launcher(self) -> dict[str, str]:
        """What webserver and daemon have in their environment, as CALLER."""
        return self.account.session(self.roles[LAUNCHER], CALLER)

    @cached_property
    def isolated_definition(self) -> str:
        return self.register("isolated", ["run-isolation", "run"])

    @cached_property
    def standing_definition(self) -> str:
        context = {"run_isolation": {"task_definition": self.isolated_definition}}
        return self.register(
            "standing",
            [
                *("run-isolation", "code-server", "--port", str(PORT)),
                *("--module-name", "probe.definitions", "--location-name", LOCATION),
                *("--container-context", json.dumps(context)),
            ],
            portMappings=[{"containerPort": port} for port in (PORT, CONTROL_PORT)],
            healthCheck={
                "command": ["CMD", "python3", "-I", "-S", "-c", HEALTH_CHECK.read_text()],
                **{"interval": 1, "retries": 60},
            },
        )

    def up(self) -> None:
        """Table, log group, instance and manifest."""
        self.account.client("dynamodb").create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": HASH_KEY, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": HASH_KEY, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.account.client("logs").create_log_group(logGroupName=LOG_GROUP)
        self.publish()

    def store_in(self, directory: Path) -> None:
        """Lets all that is stored from now on be in a directory of its own, such as a test's."""
        directory.mkdir(parents=True, exist_ok=True)
        link = self.sqlite_directory.with_name("next")
        link.symlink_to(directory)
        link.replace(self.sqlite_directory)

    def publish(self) -> None:
        """The instance, then the manifest that names it."""
        self.account.client("dynamodb").put_item(TableName=TABLE, Item=self.instance.to_item())
        self.account.client("ssm").put_parameter(
            Name=PARAMETER, Type="String", Value=self.manifest.to_json(), Overwrite=True
        )

    def configure(self, settings: NonIsolatedRuns) -> None:
        """What `pulumi up` does with the settings."""
        configure(self.slots.client, settings)

    @property
    def slots(self) -> Slots:
        return Slots(self.account.client("dynamodb"), TABLE)

    def register(self, kind: str, command: list[str], **container: object) -> str:
        logs = {
            "awslogs-group": LOG_GROUP,
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": kind,
        }
        environment = {
            "DAGSTER_CURRENT_IMAGE": LOCATION,
            "RUN_ISOLATION_MANIFEST": PARAMETER,
            LOCATION_VARIABLE: LOCATION,
            TABLE_VARIABLE: TABLE,
            VERSION: self.instance.version,
        }
        if self.account.path:
            environment["PATH"] = self.account.path
        registered = self.ecs.register_task_definition(
            family=f"run-isolation-test-{LOCATION}-{kind}",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu=str(STANDING.cpu),
            memory=str(STANDING.memory),
            # Tasks that only end, or only are there, are no kind of the product's.
            taskRoleArn=self.roles.get(kind, self.roles["standing"]),
            executionRoleArn=self.roles["execution"],
            containerDefinitions=[
                {
                    "name": "dagster",
                    "image": LOCATION,
                    "command": command,
                    "stopTimeout": 5,
                    "logConfiguration": {"logDriver": "awslogs", "options": logs},
                    "environment": [
                        {"name": name, "value": value} for name, value in environment.items()
                    ],
                    **container,
                }
            ],
        )
        return str(registered["taskDefinition"]["taskDefinitionArn"])

    def run_task(self, definition: str) -> str:
        network = {"subnets": [self.subnet]}
        started = self.ecs.run_task(
            cluster=self.cluster,
            taskDefinition=definition,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": network},
        )
        return str(started["tasks"][0]["taskArn"])

    def describe(self, task_arn: str) -> dict[str, Any]:
        found = self.ecs.describe_tasks(cluster=self.cluster, tasks=[task_arn])
        task: dict[str, Any] = found["tasks"][0]
        return task

    def isolated_tasks(self, desired_status: str) -> list[str]:
        """ARNs of the isolated tasks that are to run, or of those that are not."""
        family = f"run-isolation-test-{LOCATION}-isolated"
        pages = self.ecs.get_paginator("list_tasks").paginate(
            cluster=self.cluster, family=family, desiredStatus=desired_status
        )
        return [arn for page in pages for arn in page["taskArns"]]

    def tasks(self) -> list[str]:
        """ARNs of the isolated tasks of this test, running and stopped."""
        found = [arn for status in ("RUNNING", "STOPPED") for arn in self.isolated_tasks(status)]
        # One that ends between the two questions is in both answers.
        return [arn for arn in dict.fromkeys(found) if arn not in self._older_tasks]

    def forget_tasks(self) -> None:
        """Those that are there now belong to earlier tests."""
        self._older_tasks = frozenset({*self._older_tasks, *self.tasks()})

    def dead(self, *command: str) -> str:
        """A task whose container has ended by itself."""
        task_arn = self.run_task(self.register("isolated", list(command)))
        self.wait_for_stopped(task_arn)
        return task_arn

    def wait_for_stopped(self, task_arn: str) -> None:
        eventually(lambda: self.describe(task_arn)["lastStatus"] == "STOPPED")

    def tasks_of(self, run_id: str) -> list[str]:
        """ARNs of a run's tasks, running and stopped."""
        arns = self.tasks()
        return [
            task["taskArn"]
            for start in range(0, len(arns), 100)
            for task in self.ecs.describe_tasks(
                cluster=self.cluster, tasks=arns[start : start + 100]
            )["tasks"]
            if task.get("startedBy") == run_id
        ]

    def stop(self, task_arn: str) -> None:
        self.ecs.stop_task(cluster=self.cluster, task=task_arn, reason="test")
        eventually(lambda: self.describe(task_arn)["lastStatus"] == "STOPPED")

    def address(self, task_arn: str) -> str:
        interfaces = self.describe(task_arn)["containers"][0]["networkInterfaces"]
        return str(interfaces[0]["privateIpv4Address"])

    def output(self, kind: str, task_arn: str) -> str:
        stream = f"{kind}/dagster/{task_arn.rsplit('/', 1)[-1]}"
        events = self.account.client("logs").get_log_events(
            logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True
        )
        return "\n".join(event["message"] for event in events["events"])
