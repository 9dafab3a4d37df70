"""Why something is granted that no end-to-end test uses, or asked for that nobody may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DENIED: Final[Mapping[tuple[str, str], str]] = {}
"""What may be asked and denied, by actor and action, with the reason. Nothing, today."""

_OWN_KEY: Final = "the secret of these tests has no key of its own"
_NOT_HERE: Final = "no image in ECR and no parameter as a secret in these tests"

_MISSING: Final = (
    "so that S3 says of a missing output that it is missing, and not that it is denied"
)
_BROKEN: Final = "for a large output that could not be written as a whole"

UNUSED: Final[Mapping[str, str]] = {
    **{
        f"{kind}:{grant}": why
        for kind in ("standing", "isolated")
        for grant, why in {
            "DecryptSecrets kms:Decrypt": _OWN_KEY,
            "Outputs s3:AbortMultipartUpload": _BROKEN,
            "ListOutputs s3:ListBucket": _MISSING,
        }.items()
    },
    "isolated:ReadManifest ssm:GetParameter": "to learn whether its instance is the newest one, "
    "before a pool gets its default limit: in `tests/runtime/dagster/test_pool_limits.py`",
    "launcher:DecryptSecrets kms:Decrypt": _OWN_KEY,
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
