"""The right to use a customer's own key, through the service whose data it protects.

https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from localaws.iam.needs.ask import Ask, Need

#: Keys that AWS manages let everybody in the account use them through their service.
_MANAGED: Final = "alias/aws/"


def use(
    ask: Ask, action: str, key: str | None, word: str, arn: str, service: str
) -> Iterator[Need]:
    """Yield what the use of a key needs; nothing where it is AWS's own.

    Args:
        ask: The call.
        action: Such as `Decrypt`.
        key: The key's id or ARN, where there is one.
        word: The one key of the encryption context.
        arn: Its value.
        service: Through which the key is used.
    """
    if key and _MANAGED not in key:
        yield Need(
            f"kms:{action}",
            key if key.startswith("arn:") else ask.arn(f"key/{key}", "kms"),
            {
                f"kms:EncryptionContext:{word}": arn,
                "kms:EncryptionContextKeys": [word],
                "kms:ViaService": f"{service}.{ask.region}.amazonaws.com",
            },
        )
