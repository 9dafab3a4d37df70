"""Who calls, and whom a resource's policy means.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localaws.iam.conditions import as_list


@dataclass(frozen=True)
class Principal:
    """Somebody who calls.

    Attributes:
        arn: As denials name it: a role's session, a user, an account's root. Empty for nobody.
        account: The account's id.
        role: ARN of the role whose session it is.
        service: Name of the AWS service that calls, such as `ecs-tasks.amazonaws.com`.
    """

    arn: str = ""
    account: str = ""
    role: str = ""
    service: str = ""

    @property
    def is_root(self) -> bool:
        """Whether it is an account's root, which needs no policy."""
        return self.arn.endswith(":root")

    @property
    def name(self) -> str:
        """The last part of its ARN: a session's name, or `root`."""
        return self.arn.rsplit(":", 1)[-1].rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Principals:
    """The `Principal` or `NotPrincipal` of a statement."""

    kinds: Mapping[str, tuple[str, ...]]
    negated: bool = False

    def meets(self, who: Principal) -> bool:
        """Whether the statement is about this caller."""
        return self._names(who) is not self.negated

    def only_by_account(self, who: Principal) -> bool:
        """Whether it names the caller's account and not the caller: then IAM policies decide, too.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-accounts
        """
        return (
            not self.negated
            and not who.is_root
            and not who.service
            and not any(
                one == "*" or one in (who.arn, who.role) for one in self.kinds.get("AWS", ())
            )
        )

    def _names(self, who: Principal) -> bool:
        if who.service:
            return any(one in (who.service, "*") for one in self.kinds.get("Service", ()))
        return any(_is(one, who) for one in self.kinds.get("AWS", ()))


def _is(named: str, who: Principal) -> bool:
    if named == "*":
        return True
    if not who.account:
        return False
    root = named.startswith("arn:") and named.endswith(f"::{who.account}:root")
    return root or named == who.account or named in (who.arn, who.role)


def parse(block: Any, *, negated: bool) -> Principals:
    """Return a statement's `Principal` (or `NotPrincipal`): `*`, or kinds to names."""
    if block == "*":
        return Principals({"AWS": ("*",), "Service": ("*",)}, negated)
    return Principals({kind: tuple(as_list(names)) for kind, names in block.items()}, negated)
