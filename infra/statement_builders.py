"""IAM statements as plain data."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from infra.deployment import Deployment

Statement: TypeAlias = dict[str, Any]

_ECR_IMAGE: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[^:@]+)"
)


def document(statements: Iterable[Statement]) -> str:
    """The policy as compact JSON; the same statements are always the same text."""
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    return json.dumps(policy, sort_keys=True, separators=(",", ":"))


def items(deployment: Deployment, sid: str, action: str, *keys: str) -> Statement:
    """One call on items of the slot table with these hash keys.

    ``ForAllValues`` holds for a request without keys, too, so ``Null`` asks for one
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html).
    """
    return allow(
        sid,
        [f"dynamodb:{action}"],
        deployment.arn("dynamodb", f"table/{deployment.table}"),
        **{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(keys)}},
        Null={"dynamodb:LeadingKeys": "false"},
    )


def only_attributes(statement: Statement, *names: str) -> Statement:
    """The same call, where it names these attributes of the item alone, in whatever expression.

    Those at the top count: ``holders`` stands for all in it. The hash key is one of them
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html).
    """
    # A dollar sign would begin a variable.
    literal = [name.replace("$", "${$}") for name in names]
    attributes = {"ForAllValues:StringEquals": {"dynamodb:Attributes": literal}}
    return {**statement, "Condition": {**statement["Condition"], **attributes}}


def pull(deployment: Deployment, image: str) -> list[Statement]:
    """Pulling an image; registries other than ECR need no permission of AWS."""
    registry = _ECR_IMAGE.match(image)
    if registry is None:
        return []
    owner = f"{registry['region']}:{registry['account']}"
    return [
        # The one resource that the action has.
        allow("LogInToEcr", ["ecr:GetAuthorizationToken"], "*"),
        allow(
            "PullImage",
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            f"arn:{deployment.partition}:ecr:{owner}:repository/{registry['repository']}",
        ),
    ]


def read_secrets(deployment: Deployment, references: Iterable[str]) -> list[Statement]:
    """Reading secrets, and decrypting them where they have a key of their own.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    """
    # A reference may go on with :<JSON key>:<version stage>:<version id>.
    arns = sorted({":".join(reference.split(":")[:7]) for reference in references})
    secrets = [arn for arn in arns if ":secretsmanager:" in arn]
    parameters = [arn for arn in arns if ":ssm:" in arn]
    statements = []
    if secrets:
        statements.append(allow("ReadSecrets", ["secretsmanager:GetSecretValue"], secrets))
    if parameters:
        statements.append(allow("ReadParameters", ["ssm:GetParameters"], parameters))
    for sid, context, encrypted in (
        ("DecryptSecrets", "SecretARN", secrets),
        ("DecryptParameters", "PARAMETER_ARN", parameters),
    ):
        if encrypted:
            # The key is not known from the ARN; the condition admits only these secrets.
            key = deployment.arn("kms", "key/*")
            condition = {f"kms:EncryptionContext:{context}": encrypted}
            statements.append(allow(sid, ["kms:Decrypt"], key, StringEquals=condition))
    return statements


def allow(
    sid: str, actions: list[str], resources: str | list[str], **condition: dict[str, Any]
) -> Statement:
    """A statement that allows actions on resources, under all conditions given.

    Args:
        sid: The statement's purpose: letters and digits.
        actions: Such as ``ecs:RunTask``.
        resources: Their ARNs.
        condition: Condition operators to context keys to values.
    """
    statement: Statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions,
        "Resource": resources,
    }
    return {**statement, "Condition": condition} if condition else statement
