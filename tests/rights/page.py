"""The table of rights in docs/operations.md: what is granted, and what of it the record uses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from infra.statement_builders import Statement
from tests.rights.granted import granted, kind
from tests.rights.reasons import UNUSED
from tests.rights.record import Decision, sid

PAGE: Final = Path(__file__).parents[2] / "docs" / "operations.md"
_HEAD: Final = (
    "| Of | Statement | Actions | Conditions | Never seen in use |\n| --- | --- | --- | --- | --- |"
)
_ORDER: Final = ("launcher", "launcher-roles", "standing", "isolated", "execution")


def table(decisions: Iterable[Decision]) -> str:
    """The table, of a record."""
    used = {one.grant for one in decisions}
    policies = [
        (name, statements)
        for name in _ORDER
        for policy, statements in granted().policies.items()
        if kind(policy) == name
    ]
    rows = [
        _row(name, statement, used) for name, statements in policies for statement in statements
    ]
    return "\n".join([_HEAD, *dict.fromkeys(rows)])


def with_table(text: str, decisions: Iterable[Decision]) -> str:
    """The page's text with the table as it should be."""
    head = re.escape(_HEAD)
    new, count = re.subn(rf"{head}(\n\|.*)*", lambda _: table(decisions), text)
    if count != 1:
        raise ValueError(
            f"{PAGE} should have the table of rights once: a table that begins\n{_HEAD}"
        )
    return new


def _row(policy: str, statement: Statement, used: set[str]) -> str:
    name, actions = sid(statement["Sid"]), statement["Action"]
    keys = dict.fromkeys(key for block in statement.get("Condition", {}).values() for key in block)
    idle = [one for one in actions if f"{policy}:{name} {one}" not in used]
    cells = [policy, name, _codes(actions), _codes(keys), _said(policy, name, idle, actions)]
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def _said(policy: str, name: str, idle: list[str], actions: list[str]) -> str:
    """Why some or all of a statement's actions are idle."""
    whys: dict[str, list[str]] = {}
    for action in idle:
        whys.setdefault(UNUSED.get(f"{policy}:{name} {action}", "NO REASON"), []).append(action)
    if [len(named) for named in whys.values()] == [len(actions)]:
        return next(iter(whys))
    return "; ".join(f"{_codes(named)}: {why}" for why, named in whys.items())


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
