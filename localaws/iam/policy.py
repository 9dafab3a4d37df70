"""Policies, read once so that a decision is quick.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from localaws.iam import conditions, principals
from localaws.iam.conditions import Condition, PolicyError, as_list
from localaws.iam.patterns import (
    Context,
    Text,
    UnresolvedVariableError,
    arn_matches,
    matches,
)
from localaws.iam.principals import Principal, Principals

#: The version that has variables; a policy without one is of the other.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
_WITH_VARIABLES: Final = "2012-10-17"


@dataclass(frozen=True)
class Request:
    """What a decision is about.

    Attributes:
        action: Such as `ecs:RunTask`.
        resource: Its ARN, or `*` where the action has none.
        principal: Who calls.
        context: Keys in lower case.
    """

    action: str
    resource: str
    principal: Principal
    context: Context


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        sid: Its name; where it has none, its place in the policy (`#2`).
        policy: The policy's name.
        allows: Whether its effect is Allow.
        actions: Its actions, or those it is not about.
        resources: Its resources, or those it is not about; None in a trust policy.
        principals: Whom it is about; None in an identity's policy.
        conditions: All of them must hold.
    """

    sid: str
    policy: str
    allows: bool
    actions: tuple[str, ...]
    not_action: bool
    resources: tuple[Text, ...] | None
    not_resource: bool
    principals: Principals | None
    conditions: tuple[Condition, ...]

    @property
    def name(self) -> str:
        """The statement's name with its policy's."""
        return f"{self.policy}:{self.sid}"

    def applies(self, request: Request) -> bool:
        """Whether the request is one that the statement is about."""
        return (
            self._about_action(request.action)
            and self._about_resource(request)
            and (self.principals is None or self.principals.meets(request.principal))
            and all(condition.holds(request.context) for condition in self.conditions)
        )

    def _about_action(self, action: str) -> bool:
        named = any(matches(one, action, ignore_case=True) for one in self.actions)
        return named is not self.not_action

    def _about_resource(self, request: Request) -> bool:
        if self.resources is None:
            return True
        named = [_is_resource(one, request) for one in self.resources]
        # None: not known, so neither named nor not named.
        return not any(named) and None not in named if self.not_resource else any(named)


def _is_resource(text: Text, request: Request) -> bool | None:
    try:
        pattern = text.resolve(request.context)
    except UnresolvedVariableError:
        return None
    return pattern == request.resource or arn_matches(pattern, request.resource)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy document."""

    name: str
    statements: tuple[Statement, ...]

    def applying(self, request: Request, *, allows: bool) -> Iterator[Statement]:
        """Yield the statements of this effect that are about the request."""
        for statement in self.statements:
            if statement.allows is allows and statement.applies(request):
                yield statement


def parse(name: str, document: str | Mapping[str, Any]) -> Policy:
    """Read a policy document.

    Args:
        name: By which the record of decisions names it.
        document: JSON text, or what it holds.

    Raises:
        PolicyError: It is not a policy.
    """
    try:
        body = json.loads(document) if isinstance(document, str) else document
        variables = body.get("Version") == _WITH_VARIABLES
        statements = tuple(
            _statement(name, number, one, variables=variables)
            for number, one in enumerate(as_list(body["Statement"]), 1)
        )
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise PolicyError(f"policy {name}: {error!r}") from error
    return Policy(name, statements)


def _statement(policy: str, number: int, one: Mapping[str, Any], *, variables: bool) -> Statement:
    resources = one.get("Resource", one.get("NotResource"))
    who = one.get("Principal", one.get("NotPrincipal"))
    return Statement(
        sid=one.get("Sid") or f"#{number}",
        policy=policy,
        allows={"Allow": True, "Deny": False}[one["Effect"]],
        actions=tuple(as_list(one["NotAction"] if "NotAction" in one else one["Action"])),
        not_action="NotAction" in one,
        resources=None
        if resources is None
        else tuple(Text(each, variables=variables) for each in as_list(resources)),
        not_resource="NotResource" in one,
        principals=None if who is None else principals.parse(who, negated="NotPrincipal" in one),
        conditions=conditions.parse(one.get("Condition", {}), variables=variables),
    )
