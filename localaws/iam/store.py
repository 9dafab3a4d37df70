"""The policies that the account's IAM and S3 hold, read once each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from moto.s3.models import s3_backends

from localaws.iam import policy
from localaws.iam.evaluate import ASSUME_ROLE
from localaws.iam.needs.ask import PARTITION, Need
from localaws.iam.needs.s3 import bucket_of
from localaws.iam.policy import Policy

#: A policy that changes is another text, so what is kept is never out of date.
_parse: Final = lru_cache(maxsize=1024)(policy.parse)


def role(roles: Sequence[Any], arn: str) -> Any:
    """Return moto's role, or None where there is none."""
    return next((one for one in roles if one.arn == arn), None)


def identity_policies(found: Any) -> list[Policy]:
    """Return the own policies of a role, if there is one, and those attached to it."""
    if found is None:
        return []
    inline = [_parse(name, text) for name, text in list(found.policies.items())]
    return [*inline, *(_managed(one) for one in list(found.managed_policies.values()))]


def _managed(managed: Any) -> Policy:
    [text] = [
        version.document
        for version in managed.versions
        if version.version_id == managed.default_version_id
    ]
    return _parse(managed.name, text)


def owner(need: Need, account_id: str) -> str:
    """Return the account of what a need is about, where it has a policy that is read.

    Args:
        need: The need.
        account_id: The caller's, whose all else is.
    """
    if need.action == ASSUME_ROLE:
        return account_of(need.resource) or account_id
    _, found = s3_backends.bucket_accounts.get(bucket_of(need.resource) or "", ("", account_id))
    return str(found)


def account_of(arn: str) -> str:
    """Return the account in an ARN; empty where there is none."""
    return arn.split(":")[4] if arn.count(":") >= 5 else ""


def resource_policy(roles: Sequence[Any], account_id: str, need: Need) -> Policy | None:
    """Return the policy of what a need is about: a bucket's, or the trust policy of a role.

    Args:
        roles: Of the account that has it.
        account_id: That account.
        need: The need.
    """
    if need.action == ASSUME_ROLE:
        found = role(roles, need.resource)
        return _parse("trust", found.assume_role_policy_document) if found else None
    name = bucket_of(need.resource)
    buckets: Any = s3_backends[account_id][PARTITION].buckets if name else {}
    if name not in buckets or not buckets[name].policy:
        return None
    text = buckets[name].policy
    return _parse(name, text.decode() if isinstance(text, bytes) else text)


def role_tags(found: Any) -> dict[str, str]:
    """Return the tags of a role."""
    # moto has a list of those given at the role's creation, and a dictionary of later ones.
    tags = found.tags if found else []
    entries = tags.values() if isinstance(tags, dict) else tags
    return {one["Key"]: one["Value"] for one in entries}
