"""What a task's containers are to run: a task definition with the overrides of one RunTask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moto.ecs.exceptions import EcsClientException, InvalidParameterException

from localaws.ecs import fargate

#: Seconds between SIGTERM and SIGKILL where the definition names none, on Fargate.
#: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
DEFAULT_STOP_TIMEOUT = 30

#: What a container definition may hold that this data plane cannot do. Refused rather than ignored.
_UNSUPPORTED = (
    "dependsOn",
    "volumesFrom",
    "mountPoints",
    "firelensConfiguration",
    "environmentFiles",
)


@dataclass(frozen=True)
class HealthCheck:
    """A container's health check; all times in seconds."""

    command: tuple[str, ...]
    interval: int
    timeout: int
    retries: int
    start_period: int


@dataclass(frozen=True)
class ContainerSpec:
    """One container, ready to run.

    Attributes:
        entry_point: Empty where the image's counts.
        command: Empty where the image's counts.
        init: Whether the container has an init as its first process.
        cpu: CPU units, 0 when only the task has a limit.
        memory: Hard limit in MiB, None when only the task has one.
        stop_timeout: Seconds between SIGTERM and SIGKILL.
        ports: Those of its port mappings.
    """

    name: str
    image: str
    entry_point: tuple[str, ...]
    command: tuple[str, ...]
    init: bool
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    essential: bool
    cpu: int
    memory: int | None
    stop_timeout: int
    working_directory: str
    log_driver: str | None
    log_options: Mapping[str, str]
    health_check: HealthCheck | None
    ports: tuple[int, ...] = ()


@dataclass(frozen=True)
class TaskSpec:
    """A task's size, in CPU units, MiB and GiB, its roles, and its containers.

    Attributes:
        role: ARN of the task's own role; empty where it has none.
        execution_role: ARN of the role by which ECS gets what the task needs to start.
    """

    cpu: int
    memory: int
    ephemeral_storage: int
    containers: tuple[ContainerSpec, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    role: str = ""
    execution_role: str = ""

    @property
    def ports(self) -> set[int]:
        """Those of all containers, which share the task's address."""
        return {port for container in self.containers for port in container.ports}


def check_definition(params: Mapping[str, Any]) -> None:
    """Raise for a task definition that ECS, Fargate or this data plane refuses."""
    on_fargate = "FARGATE" in (params.get("requiresCompatibilities") or [])
    if on_fargate:
        fargate.check_size(params.get("cpu"), params.get("memory"))
    for container in params["containerDefinitions"]:
        if on_fargate and not params.get("executionRoleArn"):
            fargate.check_execution(container)
        used = [key for key in _UNSUPPORTED if container.get(key)]
        if used:
            raise EcsClientException(
                f"localaws does not support {', '.join(used)} of container "
                f"'{container.get('name')}'. Remove it from the local task definition."
            )
        if container.get("secrets") and not params.get("executionRoleArn"):
            raise EcsClientException(
                "When you are specifying container secrets, you must also specify a value for "
                "'executionRoleArn'."
            )


def resolve(definition: Any, overrides: Mapping[str, Any]) -> TaskSpec:
    """Return what moto's task `definition` runs with the `overrides` of a RunTask.

    Raises:
        InvalidParameterException: The overrides are too long or name an unknown container.
        EcsClientException: Fargate does not have the size.
    """
    fargate.check_overrides(overrides)
    by_name = {one["name"]: one for one in overrides.get("containerOverrides") or []}
    names = {container["name"] for container in definition.container_definitions}
    if unknown := sorted(by_name.keys() - names):
        raise InvalidParameterException(
            f"Override for container named {unknown[0]} is not a container in the TaskDefinition."
        )
    cpu = overrides.get("cpu") or definition.cpu
    memory = overrides.get("memory") or definition.memory
    if "FARGATE" in (definition.requires_compatibilities or []):
        fargate.check_size(cpu, memory)
    storage = overrides.get("ephemeralStorage") or definition.ephemeral_storage or {}
    return TaskSpec(
        cpu=fargate.cpu_units(cpu or 0),
        memory=fargate.memory_mib(memory or 0),
        ephemeral_storage=storage.get("sizeInGiB", 20),
        containers=tuple(
            _container(container, by_name.get(container["name"], {}))
            for container in definition.container_definitions
        ),
        overrides=overrides,
        role=role_of("task", definition, overrides),
        execution_role=role_of("execution", definition, overrides),
    )


def role_of(kind: str, definition: Any, overrides: Mapping[str, Any]) -> str:
    """Return the ARN of a task's `task` or `execution` role; an override goes first."""
    # moto's has no such attribute where it was not given.
    own = getattr(definition, f"{kind}_role_arn", None)
    return overrides.get(f"{kind}RoleArn") or own or ""


def _container(container: Mapping[str, Any], override: Mapping[str, Any]) -> ContainerSpec:
    log = container.get("logConfiguration") or {}
    return ContainerSpec(
        name=container["name"],
        image=container["image"],
        entry_point=tuple(container.get("entryPoint") or ()),
        command=tuple(override.get("command") or container.get("command") or ()),
        init=bool((container.get("linuxParameters") or {}).get("initProcessEnabled")),
        environment=_pairs(container.get("environment")) | _pairs(override.get("environment")),
        secrets={one["name"]: one["valueFrom"] for one in container.get("secrets") or []},
        essential=container.get("essential", True) is not False,
        cpu=int(override.get("cpu") or container.get("cpu") or 0),
        memory=override.get("memory") or container.get("memory"),
        stop_timeout=container.get("stopTimeout") or DEFAULT_STOP_TIMEOUT,
        working_directory=container.get("workingDirectory") or "",
        log_driver=log.get("logDriver"),
        log_options=log.get("options") or {},
        health_check=_health_check(container.get("healthCheck")),
        ports=tuple(int(one["containerPort"]) for one in container.get("portMappings") or []),
    )


def _pairs(entries: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in entries or []}


def _health_check(check: Mapping[str, Any] | None) -> HealthCheck | None:
    # Defaults: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
    if not check or check["command"][:1] == ["NONE"]:
        return None
    kind, *rest = check["command"]
    if kind == "CMD-SHELL":
        command = ("/bin/sh", "-c", rest[0])
    else:
        command = tuple(rest) if kind == "CMD" else tuple(check["command"])
    return HealthCheck(
        command=command,
        interval=check.get("interval") or 30,
        timeout=check.get("timeout") or 5,
        retries=check.get("retries") or 3,
        start_period=check.get("startPeriod") or 0,
    )
