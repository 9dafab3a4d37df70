"""Why something is granted that no end-to-end test uses, or asked for that nobody may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DENIED: Final[Mapping[tuple[str, str], str]] = {}
"""What may be asked and denied, by actor and action, with the reason. Nothing, today."""

_DATABASE: Final = "for whoever starts webserver and daemon with the database's URL"
_DEAD: Final = "for tasks that end before their runs begin: in `tests/runtime/dagster/watch`"
_OWN_KEY: Final = "the secret of these tests has no key of its own"
_NOT_HERE: Final = "no image in ECR and no parameter as a secret in these tests"

_ROTATED: Final = "after the database's password has changed: in `tests/runtime/dagster/postgres`"
_KEPT: Final = "outputs stay in their containers in these tests"
_BROKEN: Final = "for a large output that could not be written as a whole"

UNUSED: Final[Mapping[str, str]] = {
    **{
        f"{kind}:{grant}": why
        for kind in ("standing", "isolated")
        for grant, why in {
            "ReadInstance dynamodb:GetItem": "recorded before there were versions of the instance",
            "ReadSecrets secretsmanager:GetSecretValue": _ROTATED,
            "DecryptSecrets kms:Decrypt": _OWN_KEY,
            "Outputs s3:GetObject": _KEPT,
            "Outputs s3:PutObject": _KEPT,
            "Outputs s3:AbortMultipartUpload": _BROKEN,
            "ListOutputs s3:ListBucket": _KEPT,
        }.items()
    },
    "launcher:ReadLogs logs:GetLogEvents": _DEAD,
    "launcher:ReadSecrets secretsmanager:GetSecretValue": _DATABASE,
    "launcher:DecryptSecrets kms:Decrypt": _DATABASE,
    "launcher:ComputeLogs s3:PutObject": "ticks of code that Dagster itself starts beside them",
    "execution:DecryptSecrets kms:Decrypt": _OWN_KEY,
    "execution:LogInToEcr ecr:GetAuthorizationToken": _NOT_HERE,
    "execution:PullImage ecr:BatchCheckLayerAvailability": _NOT_HERE,
    "execution:PullImage ecr:BatchGetImage": _NOT_HERE,
    "execution:PullImage ecr:GetDownloadUrlForLayer": _NOT_HERE,
    "execution:ReadParameters ssm:GetParameters": _NOT_HERE,
    "execution:DecryptParameters kms:Decrypt": _NOT_HERE,
}
"""What is granted and not used in the record, with the reason: policy, statement and action."""
