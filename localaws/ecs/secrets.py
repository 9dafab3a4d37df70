"""Values of a container's secrets, from Secrets Manager or the SSM parameter store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.core.exceptions import JsonRESTError, ServiceException
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

from localaws.ecs.execution import Execution, ThrottledError, told
from localaws.iam.denials import DeniedError

_FAILED = "unable to pull secrets or registry auth: execution resource retrieval failed:"


class SecretUnavailableError(Exception):
    """A secret has no value; the task does not start."""


def resolve(
    secrets: Mapping[str, str], account_id: str, region: str, execution: Execution
) -> dict[str, str]:
    """Return the environment that `secrets` (name -> valueFrom) stands for.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html

    Raises:
        SecretUnavailableError: A secret or parameter does not exist, or the execution role may not
            read it, or the account reads too many.
    """
    return {name: _value(where, account_id, region, execution) for name, where in secrets.items()}


def _value(where: str, account_id: str, region: str, execution: Execution) -> str:
    if not where.startswith("arn:"):
        return _parameter(where, account_id, region, execution)
    _, _, service, arn_region, _, resource = where.split(":", 5)
    if service == "ssm":
        return _parameter(where, account_id, arn_region, execution)
    # secret:NAME-SUFFIX, then optionally :json-key:version-stage:version-id
    _, name, *extra = resource.split(":")
    key, stage, version = [*extra, "", "", ""][:3]
    arn = where.rsplit(":secret:", 1)[0] + f":secret:{name}"
    _may_read(execution, arn, arn_region)
    text = _secret(arn, stage, version, account_id, arn_region)
    if not key:
        return text
    try:
        return str(json.loads(text)[key])
    except (ValueError, KeyError, TypeError):
        raise SecretUnavailableError(
            f"retrieved secret from Secrets Manager did not contain json key {key}"
        ) from None


def _may_read(execution: Execution, arn: str, region: str) -> None:
    try:
        execution.ask("secretsmanager", "GetSecretValue", region, SecretId=arn)
    except (DeniedError, ThrottledError) as denial:
        raise SecretUnavailableError(
            f"{_FAILED} unable to retrieve secret from asm: service call has been retried 1 "
            f"time(s): failed to fetch secret {arn} from secrets manager: {told(denial)}"
        ) from denial


def _secret(arn: str, stage: str, version: str, account_id: str, region: str) -> str:
    backend: Any = secretsmanager_backends[account_id][region]
    try:
        found = backend.get_secret_value(arn, version or None, stage or None)
        return str(found["SecretString"])
    except (ServiceException, JsonRESTError, KeyError) as error:
        raise SecretUnavailableError(
            f"{_FAILED} unable to retrieve secret from asm: failed to fetch secret {arn}: {error}"
        ) from error


def _parameter(name: str, account_id: str, region: str, execution: Execution) -> str:
    try:
        execution.ask("ssm", "GetParameters", region, Names=[name], WithDecryption=True)
    except (DeniedError, ThrottledError) as denial:
        raise SecretUnavailableError(
            f"{_FAILED} unable to retrieve secrets from ssm: service call has been retried 1 "
            f"time(s): {told(denial)}"
        ) from denial
    parameter = ssm_backends[account_id][region].get_parameter(name)
    if parameter is None:
        raise SecretUnavailableError(
            f"{_FAILED} unable to retrieve secrets from ssm: invalid ssm parameters: {name}"
        )
    # moto stores a SecureString with its pretended encryption in front.
    return str(parameter.decrypt(parameter.value))
