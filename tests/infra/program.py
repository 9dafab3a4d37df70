"""Runs the Pulumi program against mocks and records what it registers."""

import asyncio
import copy
import json
import runpy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import grpc
import pulumi
from packaging.specifiers import SpecifierSet
from pulumi.runtime import mocks, rpc, settings

from infra.config import parse
from infra.deployment import Deployment

ACCOUNT = "123456789012"
REGION = "eu-west-1"
DATABASE = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:dagster-db-a1b2c3"
TOKEN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:token-d4e5f6"
POLICY = f"arn:aws:iam::{ACCOUNT}:policy/warehouse"
SALES_IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/team/sales:1.4.2"
MAIN = Path(__file__).parents[2] / "infra" / "__main__.py"
TAGS = {"run-isolation:deployment": "prod", "team": "data"}

CONFIG: dict[str, Any] = {
    "aws:region": REGION,
    "run-isolation:codeLocations": {
        "sales": {"image": SALES_IMAGE, "module": "sales.definitions"},
        "research_lab": {
            "image": "registry.example.com/research:2",
            "pythonFile": "research/defs.py",
            "attribute": "defs",
            "workingDirectory": "/srv",
            "env": {"ZONE": "eu", "COLOR": "green"},
            "secrets": {"TOKEN": f"{TOKEN}:key::"},
            "architecture": "ARM64",
            "standing": {"cpu": 512, "memory": 2048},
            "isolated": {
                "cpu": 8192,
                "memory": 32768,
                "ephemeralStorage": 100,
                "spot": True,
                "largest": {"cpu": 8192, "memory": 61440},
            },
            "warmStart": False,
            "policyArns": [POLICY],
        },
    },
    "run-isolation:instance": {
        "databaseUrlSecretArn": DATABASE,
        "computeLogsBucket": "create",
        "io": "create",
    },
    "run-isolation:tags": {"team": "data"},
    "run-isolation:propagateTags": ["team"],
}
"""Two code locations: one with nothing but what it must have, one with every key."""


@dataclass(frozen=True)
class Registered:
    """One resource as the program registered it."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    request: Any
    """The ``RegisterResourceRequest``, for options."""


@dataclass
class Cloud(mocks.Mocks):
    """Plays the provider."""

    account: str = ACCOUNT
    subnet_vpc: str = "vpc-0123456789abcdef0"
    dns: bool = True
    calls: list[mocks.MockCallArgs] = field(default_factory=list)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return f"{args.name}-id", {**args.inputs, "arn": f"arn:{args.name}"}

    def call(self, args: mocks.MockCallArgs) -> Any:
        self.calls.append(args)
        answers: dict[str, dict[str, Any]] = {
            "getCallerIdentity": {"accountId": self.account},
            "getPartition": {"partition": "aws"},
            "getRegion": {"region": REGION},
            "getAvailabilityZones": {"names": [f"{REGION}{zone}" for zone in "abc"]},
            "getVpc": {"enableDnsHostnames": self.dns, "enableDnsSupport": self.dns},
            "getSubnet": {"vpcId": self.subnet_vpc},
        }
        return answers[args.token.rpartition(":")[2]]


class Engine(mocks.MockEngine):
    """Plays the engine of a version, and refuses as it does (ValidatePulumiVersionRange in
    sdk/go/common/resource/plugin/plugin.go of github.com/pulumi/pulumi).
    """

    def __init__(self, version: str = "3.238.0") -> None:
        super().__init__(None)
        self.version = version

    def RequirePulumiVersion(self, request: Any) -> None:  # noqa: N802
        wanted = request.pulumi_version_range
        if self.version not in SpecifierSet(wanted):
            said = (
                f'Pulumi CLI version {self.version} does not satisfy the version range "{wanted}"'
            )
            raise _RefusedError(said)


class _RefusedError(grpc.RpcError):  # type: ignore[misc]  # a class, as far as mypy can't see
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return str(self)


class _Monitor(mocks.MockMonitor):
    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.registered: list[Registered] = []

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        inputs = {
            key: rpc.unwrap_rpc_secret(value)
            for key, value in rpc.deserialize_properties(request.object).items()
        }
        if request.type != "pulumi:pulumi:Stack":
            one = Registered(response.urn, request.type, request.name, inputs, request)
            self.registered.append(one)
        return response


@dataclass(frozen=True)
class Program:
    """What one run of the program came to."""

    resources: list[Registered]
    outputs: dict[str, Any]
    cloud: Cloud

    def one(self, kind: str, name: str) -> Registered:
        """The resource of this type (such as ``ecs/service``) and logical name."""
        [found] = [one for one in self.of(kind) if one.name == name]
        return found

    def of(self, kind: str) -> list[Registered]:
        """All resources of a type."""
        return [one for one in self.resources if one.type.split(":")[1] == kind]

    def inputs(self, kind: str, name: str) -> dict[str, Any]:
        return self.one(kind, name).inputs

    def by_urn(self) -> dict[str, dict[str, Any]]:
        return {one.urn: one.inputs for one in self.resources}


def run(
    config: Mapping[str, Any] = CONFIG,
    *,
    stack: str = "prod",
    cloud: Cloud | None = None,
    secret: tuple[str, ...] = (),
    engine: Engine | None = None,
) -> Program:
    """Runs the program as the engine would in an `up`."""
    cloud = cloud or Cloud()
    monitor = _Monitor(cloud)
    with event_loop():
        mocks.set_mocks(cloud, project="run-isolation", stack=stack, preview=False, monitor=monitor)
        settings.SETTINGS.engine = engine or Engine()
        return Program(monitor.registered, _outputs(config, secret), cloud)


@contextmanager
def event_loop() -> Iterator[None]:
    """Pulumi's SDK asks for the thread's loop. An ``asyncio.run`` of another test leaves none."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _outputs(config: Mapping[str, Any], secret: tuple[str, ...]) -> dict[str, Any]:
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()
    }
    pulumi.runtime.set_all_config(texts, list(secret))
    outputs: dict[str, Any] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[Any]:
        exported: dict[str, Any] = {}
        with patch.object(pulumi, "export", exported.__setitem__):
            runpy.run_path(str(MAIN), run_name="__main__")
        return pulumi.Output.from_input(exported).apply(outputs.update)

    program()
    return outputs


@cache
def default() -> Program:
    """The program with ``CONFIG``; not to be changed."""
    return run()


def changed(**values: Any) -> dict[str, Any]:
    """A copy of ``CONFIG`` with other values of top-level keys; None takes one out."""
    config = copy.deepcopy(CONFIG)
    for key, value in values.items():
        config[f"run-isolation:{key}"] = value
    return {key: value for key, value in config.items() if value is not None}


def deployment(config: Mapping[str, Any] = CONFIG, *, account: str = ACCOUNT) -> Deployment:
    """The deployment that the program makes of a config."""
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()
    }
    typed = parse(texts, deployment="prod", account=account)
    return Deployment("prod", account, REGION, "aws", typed)
