"""Container definitions: what runs in a task.

Written in the form in which ECS returns them, else Pulumi sees a change at every refresh
(https://github.com/pulumi/pulumi-aws/issues/4576, https://github.com/pulumi/pulumi-aws/issues/5256):
names sorted, empty lists and defaults written out, no nulls.
"""

import json
from pathlib import Path
from typing import Any, Final

from infra import instance_document
from infra.deployment import CODE_SERVER_PORT, CONTAINER, CONTROL_PORT, Deployment, Kind
from run_isolation import outputs
from run_isolation.default_instance import COMPUTE_LOGS_BUCKET, DATABASE
from run_isolation.instance import VERSION

STOP_TIMEOUT: Final = 120
"""Seconds between SIGTERM and SIGKILL: the most that Fargate allows, for runs to end well
(https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html)."""

_HEALTH_CHECK: Final = Path(__file__).with_name("health_check.py")


def standing(deployment: Deployment, location: str, isolated_revision: str) -> str:
    """The container that serves a code location's definitions and its non-isolated runs.

    Args:
        deployment: The deployment.
        location: The code location's name.
        isolated_revision: ARN of the isolated task definition with the same code. The code server
            advertises it as container context, which Dagster stores with each run.

    Returns:
        JSON text for the task definition.
    """
    container = _container(deployment, location, Kind.STANDING)
    container["command"] = _code_server(deployment, location, isolated_revision)
    container["healthCheck"] = {
        "command": ["CMD", "python3", "-I", "-S", "-c", _program(_HEALTH_CHECK)],
        # 10 s: `pulumi up` and redeploys wait for the first success. One check costs about 20 ms
        # of a CPU. A minute of failures in a row, so that a busy run does not cost the container.
        "interval": 10,
        "timeout": 10,
        "retries": 6,
        # Most that ECS allows: importing a large code location takes minutes at 0.25 vCPU.
        "startPeriod": 300,
    }
    container["portMappings"] = [
        {"containerPort": port, "hostPort": port, "protocol": "tcp"}
        for port in (CODE_SERVER_PORT, CONTROL_PORT)
    ]
    return _json([container])


def isolated(deployment: Deployment, location: str) -> str:
    """The container of an isolated run; RunTask adds which run it is.

    Returns:
        JSON text for the task definition.
    """
    container = _container(deployment, location, Kind.ISOLATED)
    container["command"] = ["run-isolation", "run"]
    return _json([container])


def _container(deployment: Deployment, location: str, kind: Kind) -> dict[str, Any]:
    config = deployment.config.code_locations[location]
    environment, secrets = _environment(deployment, location, kind)
    container = {
        "name": CONTAINER,
        "image": config.image,
        "essential": True,
        "cpu": 0,
        "environment": [{"name": k, "value": v} for k, v in sorted(environment.items())],
        "secrets": [{"name": k, "valueFrom": v} for k, v in sorted(secrets.items())],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": deployment.log_group(location),
                "awslogs-region": deployment.region,
                "awslogs-stream-prefix": kind.value,
                # Logs that can't be delivered are dropped rather than halting the run that writes
                # (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_LogConfiguration.html).
                "max-buffer-size": "25m",
                "mode": "non-blocking",
            },
        },
        # An init process reaps what user code leaves behind and forwards SIGTERM.
        "linuxParameters": {"initProcessEnabled": True},
        # The root file system stays writable: Dagster code writes next to itself (dbt's target/).
        "stopTimeout": STOP_TIMEOUT,
        "mountPoints": [],
        "portMappings": [],
        "systemControls": [],
        "volumesFrom": [],
    }
    if config.working_directory is not None:
        # Of all processes of the task, and what Dagster puts on Python's path where nobody tells
        # it otherwise. An empty one is not what ECS returns.
        container["workingDirectory"] = config.working_directory
    return container


def _environment(
    deployment: Deployment, location: str, kind: Kind
) -> tuple[dict[str, str], dict[str, str]]:
    """Environment variables of a task, and where ECS reads those that are secret.

    The location's own go before the instance's.
    """
    config, instance = deployment.config.code_locations[location], deployment.config.instance
    document = instance_document.render(deployment)
    own = {*config.env, *config.secrets}
    environment = {
        **_outputs(deployment, location, {*own, *document.env, *document.secrets}),
        **{name: value for name, value in document.env.items() if name not in own},
        **config.env,
        "AWS_REGION": deployment.region,
        "DAGSTER_CURRENT_IMAGE": config.image,
        "RUN_ISOLATION_DEPLOYMENT": deployment.name,
        VERSION: document.version,
        "RUN_ISOLATION_LOCATION": deployment.location_name(location),
        "RUN_ISOLATION_MANIFEST": deployment.manifest_parameter,
        "RUN_ISOLATION_TABLE": deployment.table,
    }
    if kind is Kind.STANDING and config.working_directory is not None:
        environment["RUN_ISOLATION_WORKING_DIRECTORY"] = config.working_directory
    if kind is Kind.STANDING and deployment.compute_logs_bucket is not None:
        environment[COMPUTE_LOGS_BUCKET] = deployment.compute_logs_bucket
    secrets = {name: arn for name, arn in document.secrets.items() if name not in own}
    secrets |= config.secrets
    if instance.database_secret is not None:
        secrets[DATABASE] = instance.database_secret
    return environment, secrets


def _outputs(deployment: Deployment, location: str, said: set[str]) -> dict[str, str]:
    """Where the default I/O manager keeps outputs, unless the user has said which one it is."""
    bucket = deployment.outputs_bucket(location)
    if bucket is None or said & {outputs.MODULE, outputs.ATTRIBUTE}:
        return {}
    return outputs.environment(outputs.Place(bucket, deployment.name))


def _code_server(deployment: Deployment, location: str, isolated_revision: str) -> list[str]:
    config = deployment.config.code_locations[location]
    ports = ["--port", str(CODE_SERVER_PORT), "--control-port", str(CONTROL_PORT)]
    command = ["run-isolation", "code-server", *ports, *config.target]
    if config.attribute is not None:
        command += ["--attribute", config.attribute]
    if not config.warm_start:
        command += ["--no-warm-start"]
    version = instance_document.render(deployment).version
    context = {"task_definition": isolated_revision, "instance": version}
    name = deployment.location_name(location)
    return [
        *(*command, "--location-name", name),
        *("--container-context", _json({"run_isolation": context})),
    ]


def _program(source: Path) -> str:
    """A Python file without its docstring: a task definition has 64 KB."""
    return source.read_text().split('"""', 2)[2].strip()


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
