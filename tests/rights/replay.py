"""Decides requests again, by the policies that the program grants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from infra.statement_builders import Statement, document
from localaws.iam import policy
from localaws.iam.evaluate import Decision, decide
from localaws.iam.policy import Policy, Request
from tests.rights import record
from tests.rights.granted import LOCATIONS, LOGS_BUCKET, OUTPUTS_BUCKET, TRUST, kind
from tests.rights.requests import Asked

#: Of every request, where it does not say otherwise.
_ALWAYS = {"aws:securetransport": "true"}


@dataclass(frozen=True)
class Replayed:
    """A request of one code location.

    Attributes:
        asked: The request.
        request: As the evaluator takes it.
        own: Names of the policies of whoever asks.
        theirs: Name of the resource's policy, where it has one.
    """

    asked: Asked
    request: Request
    own: tuple[str, ...]
    theirs: str

    def decide(self, policies: Mapping[str, Policy]) -> Decision:
        """What IAM says."""
        return decide(self.request, [policies[one] for one in self.own], policies.get(self.theirs))

    def grant(self, policies: Mapping[str, Policy]) -> str | None:
        """Which grant of a role's policy allows it, as the record names it."""
        by = self.decide(policies).by
        if by is None or by.policy not in self.own:
            return None
        return f"{kind(by.policy)}:{record.sid(by.sid)} {self.asked.action}"

    def about(self, policy_name: str) -> bool:
        """Whether a policy has a say in it."""
        return policy_name in (*self.own, self.theirs)


def parsed(granted: Mapping[str, Sequence[Statement]]) -> dict[str, Policy]:
    """The policies, read."""
    return {name: policy.parse(name, document(one)) for name, one in granted.items()}


def at_each_location(asked: Iterable[Asked]) -> list[Replayed]:
    """Every request, as each code location makes it."""
    return [
        _replayed(one, location)
        for one in asked
        for location in LOCATIONS
        if one.only in ("", location)
    ]


def _replayed(asked: Asked, location: str) -> Replayed:
    here = asked.at(location)
    request = Request(
        here.action, here.resource, asked.principal(location), {**_ALWAYS, **here.context}
    )
    if asked.actor == record.LAUNCHER:
        own: tuple[str, ...] = ("launcher", "launcher-roles")
    else:
        own = (f"{location}-{asked.actor}",) if request.principal.role else ()
    theirs = ""
    if here.action == "sts:AssumeRole":
        theirs = f"{here.resource.rpartition('run-isolation-prod-')[2]}-{TRUST}"
    elif here.resource.startswith("arn:aws:s3:"):
        theirs = OUTPUTS_BUCKET if f"-{OUTPUTS_BUCKET}-" in here.resource else LOGS_BUCKET
    return Replayed(here, request, own, theirs)
