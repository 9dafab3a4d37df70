"""The roles of the deployment ``test``, with the statements that infra/ gives them."""

from __future__ import annotations

import json
from typing import Any, Final

from infra import policy_statements
from infra.config import parse
from infra.deployment import EXECUTION, Deployment, Kind
from infra.statement_builders import document
from tests.localaws.roles import make_role

LOCATION: Final = "probe"
LAUNCHER: Final = "launcher"
"""Webserver and daemon."""


def make_roles(iam: Any, account: str, region: str) -> dict[str, str]:
    """ARNs by whom they are for: the kinds of tasks, `execution`, LAUNCHER."""
    location = {"image": LOCATION, "module": "probe.definitions"}
    config = {
        "run-isolation:codeLocations": json.dumps({LOCATION: location}),
        # The storage is of no account: Pulumi gives no right for it.
        "run-isolation:instance": json.dumps({"sqliteDirectory": "dagster"}),
    }
    typed = parse(config, deployment="test", account=account)
    made = Deployment("test", account, region, "aws", typed)
    statements = {
        Kind.STANDING: policy_statements.standing(made, LOCATION),
        Kind.ISOLATED: policy_statements.isolated(made, LOCATION),
        EXECUTION: policy_statements.execution(made, LOCATION),
        LAUNCHER: [*policy_statements.launcher(made), *policy_statements.launcher_roles(made)],
    }
    trusts = document(policy_statements.trust(made))
    return {
        str(actor): make_role(iam, made.role(LOCATION, actor), *of_actor, trusts=trusts)
        for actor, of_actor in statements.items()
    }
