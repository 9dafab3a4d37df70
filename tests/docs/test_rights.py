"""The table of rights in docs/operations.md is what the policies grant and e2e has used."""

from __future__ import annotations

import re
from pathlib import Path

from infra import policy_statements
from infra.statement_builders import Statement
from tests.e2e.rights import UNUSED
from tests.infra.program import changed, deployment

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
HEADER = "| Of | Statement | Actions | Conditions | Never seen in use |"
PARAMETER = "arn:aws:ssm:eu-west-1:123456789012:parameter/token"


def granted() -> dict[str, list[Statement]]:
    """Statements by actor, of locations that have all there is."""
    made = deployment()
    locations = {"code": {"image": "a:1", "module": "a", "secrets": {"TOKEN": PARAMETER}}}
    with_parameter = deployment(changed(codeLocations=locations))
    return {
        "launcher": policy_statements.launcher(made),
        "launcher-roles": policy_statements.launcher_roles(made),
        "standing": policy_statements.standing(made, "sales"),
        "isolated": policy_statements.isolated(made),
        "execution": [
            *policy_statements.execution(made, "sales"),
            *policy_statements.execution(with_parameter, "code"),
        ],
    }


def row(actor: str, statement: Statement) -> str:
    sid = re.sub(r"\d+Cpu\d+MiB", "…", statement["Sid"])
    keys = dict.fromkeys(key for block in statement.get("Condition", {}).values() for key in block)
    idle = {
        action: UNUSED[grant]
        for action in statement["Action"]
        if (grant := f"{actor}:{statement['Sid']} {action}") in UNUSED
    }
    said = ""
    if idle:
        [reason] = set(idle.values())
        which = "" if len(idle) == len(statement["Action"]) else f"{_codes(idle)}: "
        said = which + reason
    cells = [actor, sid, _codes(statement["Action"]), _codes(keys), said]
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def _codes(names: object) -> str:
    return ", ".join(f"`{name}`" for name in names)  # type: ignore[attr-defined]


def test_the_table_of_rights_is_true() -> None:
    rows = [row(actor, one) for actor, statements in granted().items() for one in statements]
    wanted = "\n".join([HEADER, "| --- | --- | --- | --- | --- |", *dict.fromkeys(rows)])
    assert wanted in PAGE.read_text(), f"docs/operations.md should have:\n{wanted}"
