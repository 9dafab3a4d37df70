"""What the Pulumi program grants: its policies, as it registers them with the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from infra.statement_builders import Statement
from tests.infra.program import ACCOUNT, CONFIG, REGION, Program, changed, deployment, run
from tests.rights.record import sid

PARAMETER: Final = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/team/token"
_LOCATIONS: Final = CONFIG["run-isolation:codeLocations"] | {
    "code": {"image": "code:1", "module": "code", "secrets": {"TOKEN": PARAMETER}}
}
_CONFIG: Final = changed(codeLocations=_LOCATIONS)
LOCATIONS: Final = tuple(_LOCATIONS)
"""One with nothing but what it must have and its image in ECR, one with every key, and one with a
parameter as a secret."""
LOGS_BUCKET, OUTPUTS_BUCKET, TRUST = "compute-logs", "outputs", "trust"
"""Names of what is no policy of a role."""


@dataclass(frozen=True)
class Granted:
    """All that is granted.

    Attributes:
        policies: Statements by the policy's name: `launcher`, `launcher-roles`,
            `<location>-<actor>`, the same with `-trust`, LOGS_BUCKET, OUTPUTS_BUCKET.
    """

    policies: Mapping[str, Sequence[Statement]]

    @property
    def grants(self) -> dict[str, None]:
        """Policy, statement and action of everything that a role may, of all locations alike."""
        return {
            f"{kind(name)}:{sid(one['Sid'])} {action}": None
            for name, statements in self.policies.items()
            if kind(name) not in (LOGS_BUCKET, OUTPUTS_BUCKET, TRUST)
            for one in statements
            for action in one["Action"]
        }


def kind(policy: str) -> str:
    """A policy's name without its code location's."""
    names = [one for one in LOCATIONS if policy.startswith(f"{one}-")]
    return policy.rpartition("-")[2] if names else policy


def largest(location: str) -> tuple[int, int]:
    """CPU units and MiB that a run of a code location may have."""
    size = deployment(_CONFIG).config.code_locations[location].isolated.largest
    return size.cpu, size.memory


@cache
def granted() -> Granted:
    """What the program registers for a deployment with all that there is."""
    program = run(_CONFIG)
    of_roles = _documents(program, "iam/rolePolicy", "policy")
    return Granted(
        {
            **_documents(program, "iam/policy", "policy"),
            # The simplest location first, as in the config.
            **{name: of_roles[name] for name in sorted(of_roles, key=_place)},
            **_documents(program, "iam/role", "assumeRolePolicy", f"-{TRUST}"),
            **_documents(program, "s3/bucketPolicy", "policy"),
        }
    )


def _place(policy: str) -> int:
    return LOCATIONS.index(policy.rpartition("-")[0])


def _documents(program: Program, resource: str, key: str, end: str = "") -> dict[str, Any]:
    return {f"{one.name}{end}": _statements(one.inputs[key]) for one in program.of(resource)}


def _statements(document: str) -> list[Statement]:
    statements: list[Statement] = json.loads(document)["Statement"]
    return statements
