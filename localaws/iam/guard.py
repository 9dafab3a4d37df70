"""Asks IAM before anything is done for anybody but the account's root."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from localaws.conditions import Conditions
from localaws.iam import needs, store
from localaws.iam.decisions import Decisions
from localaws.iam.denials import DeniedError, UnknownOperationError
from localaws.iam.evaluate import ASSUME_ROLE, decide
from localaws.iam.identities import Identities
from localaws.iam.needs.ask import Ask, Need
from localaws.iam.needs.ecs import TASKS
from localaws.iam.past import Past
from localaws.iam.policy import Request
from localaws.iam.principals import Principal
from localaws.quotas import Quotas

_LOOPBACK = "127.0.0.1"
#: Services whose resources may have policies that bind the account's root, too.
_OF_ROOT = ("s3", "sts")


class Guard:
    """Decides for one account. Thread-safe.

    Args:
        account_id: The account.
        identities: Who is behind which credentials.
        decisions: Where each decision is recorded.
        conditions: Say how much there is of what, and when it is in force.
    """

    def __init__(
        self,
        account_id: str,
        identities: Identities,
        decisions: Decisions,
        conditions: Conditions,
    ) -> None:
        self.account_id = account_id
        self.identities = identities
        self.past = Past(conditions)
        self.quotas = Quotas(conditions)
        self._decisions = decisions

    def admit(self, who: Principal, ask: Ask, address: str = _LOOPBACK) -> None:
        """Let a call pass, or not.

        Args:
            who: The caller.
            ask: The call.
            address: Where it comes from.

        Raises:
            DeniedError: The caller may not.
            UnknownOperationError: The table of needs does not know the call.
        """
        if who.is_root and ask.service not in _OF_ROOT:
            return
        wanted = needs.of(ask)
        if wanted is None:
            if who.is_root:
                return
            raise UnknownOperationError(who, ask.service, ask.operation)
        self.require(who, wanted, f"{ask.service}:{ask.operation}", ask.region, address)

    def require(
        self,
        who: Principal,
        wanted: Iterable[Need],
        call: str,
        region: str,
        address: str = _LOOPBACK,
    ) -> None:
        """Ask for all that something needs.

        Args:
            who: On whose behalf.
            wanted: The needs.
            call: What needs them, for the record.
            region: Where.
            address: Where the call comes from.

        Raises:
            DeniedError: One of them is not allowed.
        """
        own = store.identity_policies(self._role(who))
        shared = self._context(who, region, address)
        for need in wanted:
            given = {key.lower(): value for key, value in need.context.items()}
            request = Request(need.action, need.resource, who, {**shared, **given})
            owner = store.owner(need, who.account or self.account_id)
            resource_policy = store.resource_policy(self.past.roles(owner), owner, need)
            same = owner == (who.account or owner)
            if who.is_root and same and resource_policy is None and need.action != ASSUME_ROLE:
                continue
            decision = decide(request, own, resource_policy, same_account=same)
            self._decisions.add(call, request, decision)
            if not decision.allowed:
                raise DeniedError(who, need, decision)

    def trusts(self, role_arn: str, region: str, source_arn: str) -> bool:
        """Whether a role exists and lets ECS take it on for a task.

        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html

        Args:
            role_arn: The role.
            region: Where the task is to run.
            source_arn: ARN of the task.
        """
        context = {"aws:SourceArn": source_arn, "aws:SourceAccount": self.account_id}
        need = Need(ASSUME_ROLE, role_arn, context)
        try:
            self.require(Principal(service=TASKS), [need], "ecs: take on a task's role", region)
        except DeniedError:
            return False
        return True

    def _role(self, who: Principal) -> Any:
        """Return moto's role of a session, as it is in force; None for anybody else."""
        return store.role(self.past.roles(who.account), who.role) if who.role else None

    def _context(
        self, who: Principal, region: str, address: str
    ) -> Mapping[str, str | Sequence[str]]:
        """Return the keys of every request, in lower case.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
        """
        now = datetime.now(UTC)
        context: dict[str, str | Sequence[str]] = {
            "aws:currenttime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "aws:epochtime": str(int(now.timestamp())),
            "aws:requestedregion": region,
            # The account's HTTP stands for HTTPS.
            "aws:securetransport": "true",
        }
        if who.service:
            return context | {"aws:principalservicename": who.service}
        context |= {"aws:sourceip": address, "aws:viaawsservice": "false"}
        if not who.account:
            return context | {"aws:principaltype": "Anonymous"}
        context |= {
            "aws:principalaccount": who.account,
            "aws:principalarn": who.role or who.arn,
            "aws:principaltype": "AssumedRole" if who.role else "Account",
        }
        if role := self._role(who):
            context["aws:userid"] = f"{role.id}:{who.name}"
            tags = store.role_tags(role)
            context |= {f"aws:principaltag/{key}".lower(): value for key, value in tags.items()}
        return context
