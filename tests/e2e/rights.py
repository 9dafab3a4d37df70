"""What the deployment's roles asked for in a run of these tests, held against what they may.

With `RIGHTS_REPORT=<directory>` in the environment each deployment writes there, at its end, which
grants nothing has used. Only after all of tests/e2e is that worth reading.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from localaws.account import LocalAccount
from localaws.iam.decisions import Ruling

DENIED: Final[Mapping[tuple[str, str], str]] = {}
"""What may be asked and denied, by actor and action, with the reason."""

ACTORS: Final = ("standing", "isolated", "execution", "control-plane")


def actor(role: str) -> str:
    """The kind of a role, by the end of its name."""
    return next((one for one in ACTORS if role.endswith(f"-{one}")), role)


def denied(account: LocalAccount, stack: str) -> list[str]:
    """What the stack's roles asked for and must not have, but for what has its reason."""
    found = Counter(
        f"{actor(one.role)}: {one.action} on {one.resource}, for {one.call}"
        for one in account.decisions.all(allowed=False)
        if stack in one.role and (actor(one.role), one.action) not in DENIED
    )
    return [f"{what} ({count} times)" for what, count in sorted(found.items())]


def write_report(account: LocalAccount, stack: str) -> None:
    """Write which grants were used how often, where somebody wants to know."""
    directory = os.environ.get("RIGHTS_REPORT")
    if directory is None:
        return
    rulings = [one for one in account.decisions.all(allowed=True) if stack in one.by + one.role]
    report = {"granted": _used(account.client("iam"), stack, rulings)}
    Path(directory).mkdir(parents=True, exist_ok=True)
    (Path(directory) / f"{stack}.json").write_text(json.dumps(report, indent=2) + "\n")


def _used(iam: Any, stack: str, rulings: list[Ruling]) -> dict[str, int]:
    """Each granted action by its policy and statement, and how many calls it let pass."""
    uses = Counter((one.by, one.action) for one in rulings)
    return {
        f"{policy}:{statement['Sid']} {action}": uses[f"{policy}:{statement['Sid']}", action]
        for policy, document in _policies(iam, stack)
        for statement in document["Statement"]
        for action in statement["Action"]
    }


def _policies(iam: Any, stack: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for role in iam.list_roles()["Roles"]:
        if stack in role["RoleName"]:
            for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
                policy = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)
                found.append((name, policy["PolicyDocument"]))
    for managed in iam.list_policies(Scope="Local")["Policies"]:
        if stack in managed["PolicyName"]:
            version = iam.get_policy_version(
                PolicyArn=managed["Arn"], VersionId=managed["DefaultVersionId"]
            )
            found.append((managed["PolicyName"], version["PolicyVersion"]["Document"]))
    return found
