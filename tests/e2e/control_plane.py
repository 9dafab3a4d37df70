"""The role that a user gives to webserver and daemon, as docs/real-account.md says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.localaws.roles import make_role


class ControlPlaneRole:
    """A role with the policies of the stack's output `launcherPolicyArns`, and no other right.

    Args:
        iam: A client of the account's root.
        name: The role's.
    """

    def __init__(self, iam: Any, name: str) -> None:
        self._iam = iam
        self._name = name
        self.arn = make_role(iam, name)

    def attach(self, policies: Iterable[str]) -> None:
        """Attach these policies; to attach one again changes nothing."""
        for arn in policies:
            self._iam.attach_role_policy(RoleName=self._name, PolicyArn=arn)

    def detach(self) -> None:
        """Detach all policies: those in use can't be deleted."""
        for policy in self._iam.list_attached_role_policies(RoleName=self._name)[
            "AttachedPolicies"
        ]:
            self._iam.detach_role_policy(RoleName=self._name, PolicyArn=policy["PolicyArn"])
