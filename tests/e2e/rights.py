"""What the deployment's roles asked for in a run of these tests, held against what they may.

At its end each deployment must have been denied nothing. With `RIGHTS_REPORT=<directory>` in the
environment it also writes there how often each grant was used; after all of tests/e2e,
`python -m tests.e2e.rights <directory>` says which were not, and have no reason below.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from localaws.account import LocalAccount
from localaws.iam.decisions import Ruling

DENIED: Final[Mapping[tuple[str, str], str]] = {}
"""What may be asked and denied, by actor and action, with the reason. Nothing, today."""

_LATER: Final = "not called by this version"
_DAGSTER: Final = "dagster-aws has the call; Dagster makes none of it here"
_OWN_KEY: Final = "the secret of these tests has no key of its own"
_NOT_HERE: Final = "no image in ECR and no parameter as a secret in these tests"
UNUSED: Final[Mapping[str, str]] = {
    "launcher:ReadSecrets secretsmanager:GetSecretValue": _LATER,
    "launcher:DecryptSecrets kms:Decrypt": _LATER,
    "launcher:ReadLogs logs:GetLogEvents": "for runs whose task is lost: tests/faults, as root",
    "launcher:ListComputeLogs s3:ListBucket": "for logs that are not there yet",
    "launcher:ComputeLogs s3:PutObject": _DAGSTER,
    "standing:ReadSlots dynamodb:GetItem": _LATER,
    "execution:DecryptSecrets kms:Decrypt": _OWN_KEY,
    "execution:LogInToEcr ecr:GetAuthorizationToken": _NOT_HERE,
    "execution:PullImage ecr:BatchCheckLayerAvailability": _NOT_HERE,
    "execution:PullImage ecr:BatchGetImage": _NOT_HERE,
    "execution:PullImage ecr:GetDownloadUrlForLayer": _NOT_HERE,
    "execution:ReadParameters ssm:GetParameters": _NOT_HERE,
    "execution:DecryptParameters kms:Decrypt": _NOT_HERE,
    **{
        f"{one}:ComputeLogs s3:DeleteObject": _DAGSTER
        for one in ("launcher", "standing", "isolated")
    },
}
"""What is granted and may go unused, with the reason."""

_ACTORS: Final = ("standing", "isolated", "execution", "launcher-roles", "launcher")


def actor(name: str) -> str:
    """The kind of a role or policy, by the end of its name."""
    return next((one for one in _ACTORS if name.endswith(f"-{one}")), name.rpartition("/")[2])


def denied(account: LocalAccount, stack: str) -> list[str]:
    """What the stack's roles asked for and must not have, but for what has its reason."""
    found = Counter(
        f"{one.role}: {one.action} on {one.resource}, for {one.call}"
        for one in account.decisions.all(allowed=False)
        if stack in one.role and (actor(one.role), one.action) not in DENIED
    )
    return [f"{what} ({count} times)" for what, count in sorted(found.items())]


def write_report(account: LocalAccount, stack: str) -> None:
    """Write how often each grant was used, where somebody wants to know."""
    directory = os.environ.get("RIGHTS_REPORT")
    if directory is None:
        return
    uses = _uses(account.client("iam"), stack, account.decisions.all(allowed=True))
    Path(directory).mkdir(parents=True, exist_ok=True)
    (Path(directory) / f"{stack}.json").write_text(json.dumps(uses, indent=2) + "\n")


def _uses(iam: Any, stack: str, rulings: list[Ruling]) -> dict[str, int]:
    """Each granted action by actor and statement, and how many calls it let pass."""
    counts = Counter((one.by, one.action) for one in rulings)
    uses: Counter[str] = Counter()
    for policy, document in _policies(iam, stack):
        for statement in document["Statement"]:
            for action in statement["Action"]:
                sid = statement["Sid"]
                uses[f"{actor(policy)}:{sid} {action}"] += counts[f"{policy}:{sid}", action]
    return dict(sorted(uses.items()))


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


def main(directory: str) -> None:
    """Print the grants that no deployment used. Ends with 1 where one has no reason."""
    uses: Counter[str] = Counter()
    for report in Path(directory).glob("*.json"):
        uses.update(json.loads(report.read_text()))
    idle = [grant for grant, count in sorted(uses.items()) if count == 0]
    for grant in idle:
        print(f"{grant}: {UNUSED.get(grant, 'NO REASON')}")
    sys.exit(any(grant not in UNUSED for grant in idle))


if __name__ == "__main__":
    main(sys.argv[1])
