"""What reading parameters and secrets needs, with their keys where they have keys of their own.

https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

from localaws.iam.needs import kms
from localaws.iam.needs.ask import Ask, Need, Row


def _parameter_arn(ask: Ask, name: str) -> str:
    if name.startswith("arn:"):
        return name
    return ask.arn(f"parameter/{name.lstrip('/')}", "ssm")


def _parameters(ask: Ask) -> Iterator[Need]:
    single = ask.params.get("Name")
    for name in [single] if single else ask.params.get("Names") or []:
        arn = _parameter_arn(ask, name)
        yield Need(f"ssm:{ask.operation}", arn)
        found: Any = ssm_backends[ask.account][ask.region].get_parameter(name)
        hidden = found is not None and found.parameter_type == "SecureString"
        if hidden and ask.params.get("WithDecryption"):
            yield from kms.use(ask, "Decrypt", found.keyid, "PARAMETER_ARN", arn, "ssm")


def _by_path(ask: Ask) -> Iterator[Need]:
    yield Need("ssm:GetParametersByPath", _parameter_arn(ask, str(ask.params.get("Path"))))


def _secret(ask: Ask) -> Iterator[Need]:
    name = str(ask.params.get("SecretId"))
    backend: Any = secretsmanager_backends[ask.account][ask.region]
    found = next(
        (one for one in backend.secrets.values() if name in (one.arn, one.name)),
        None,
    )
    # Of a secret that does not exist: IAM adds what a suffix would look like.
    arn = found.arn if found else name if name.startswith("arn:") else ask.arn(f"secret:{name}")
    context = {"secretsmanager:SecretId": name}
    yield Need(f"secretsmanager:{ask.operation}", arn, context)
    if found is not None and ask.operation == "GetSecretValue":
        key = found.kms_key_id
        yield from kms.use(ask, "Decrypt", key, "SecretARN", arn, "secretsmanager")


ROWS: Final[dict[tuple[str, str], Row]] = {
    ("ssm", "GetParameter"): _parameters,
    ("ssm", "GetParameters"): _parameters,
    ("ssm", "GetParametersByPath"): _by_path,
    ("secretsmanager", "GetSecretValue"): _secret,
    ("secretsmanager", "DescribeSecret"): _secret,
}
