"""moto's S3, whose bucket policies take the account's HTTP for HTTPS, for which it stands."""

from __future__ import annotations

import json
from typing import Any, Final

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket

_WITHOUT_TLS: Final = {"Bool": {"aws:SecureTransport": "false"}}


def get_permission(bucket: FakeBucket, action: str, resource: str) -> Any:
    """What the policy of a bucket says of a call; in place of ``FakeBucket.get_permission``.

    moto knows no conditions of requests, so it would refuse all calls where those without TLS are
    (moto/iam/access_control.py).
    """
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(bucket.policy)
    said = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    statements = [one for one in said if one.get("Condition") != _WITHOUT_TLS]
    document = json.dumps({**policy, "Statement": statements})
    return IAMPolicy(document).is_action_permitted(action, resource)
