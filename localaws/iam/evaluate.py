"""IAM's decision about one request.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from localaws.iam.policy import Policy, Request, Statement

ASSUME_ROLE = "sts:AssumeRole"


class Kind(StrEnum):
    """Where a policy hangs, as denials call it."""

    IDENTITY = "identity-based policy"
    RESOURCE = "resource-based policy"
    TRUST = "role trust policy"


@dataclass(frozen=True)
class Decision:
    """What IAM says.

    Attributes:
        allowed: Whether the request may go on.
        by: The statement that decided; None where none was about the request, or root asked.
        kind: Where the deciding policy hangs, or would have to.
    """

    allowed: bool
    by: Statement | None = None
    kind: Kind = Kind.IDENTITY

    @property
    def explicit(self) -> bool:
        """Whether a statement denies it."""
        return not self.allowed and self.by is not None


def decide(
    request: Request,
    identity: Sequence[Policy],
    resource: Policy | None = None,
    *,
    same_account: bool = True,
) -> Decision:
    """Decide about a request. Where the resource is another account's, both sides have to allow it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html

    Args:
        request: The request.
        identity: The policies of the caller's role.
        resource: The resource's own policy: of a bucket, or the trust policy of a role.
        same_account: Whether the resource is in the caller's account.
    """
    trust = request.action == ASSUME_ROLE
    at_resource = Kind.TRUST if trust else Kind.RESOURCE
    if denial := _first(identity, request, allows=False):
        return Decision(False, denial)
    if resource and (denial := _first((resource,), request, allows=False)):
        return Decision(False, denial, at_resource)
    if request.principal.is_root and not trust and same_account:
        return Decision(True)
    named = list(resource.applying(request, allows=True)) if resource else []
    for statement in named:
        # Who is named without the account in between needs no policy of its own.
        direct = statement.principals and not statement.principals.only_by_account(
            request.principal
        )
        if direct and (same_account or request.principal.is_root):
            return Decision(True, statement, at_resource)
    if not named and (trust or not same_account):
        return Decision(False, None, at_resource)
    allowed = _first(identity, request, allows=True)
    return Decision(allowed is not None, allowed)


def _first(policies: Sequence[Policy], request: Request, *, allows: bool) -> Statement | None:
    return next((one for each in policies for one in each.applying(request, allows=allows)), None)
