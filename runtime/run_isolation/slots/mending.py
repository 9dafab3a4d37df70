"""Puts right what is wrong in the slots item, and was not written so by this release.

A release before location limits gives a slot back and leaves its ticket, or takes one without. And
a code location's code may write what it likes there. Each write holds only for what was read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from run_isolation.slots.item import HOLDERS, Contents, Holder
from run_isolation.slots.writing import write

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_log: Final = logging.getLogger(__name__)


def mend(
    client: DynamoDBClient, table: str, item: Mapping[str, Any], cluster: str | None
) -> tuple[Holder, ...]:
    """Removes malformed holders, and makes the tickets those of the holders.

    Returns:
        The other holders, the longest first. No call is made where nothing is wrong.

    Raises:
        TableError: It could not be mended.
        HolderError: The holders are no map.
    """
    contents = Contents.read(item, cluster)
    for run_id, problem in contents.malformed.items():
        _log.warning("Holder %r is removed from the slot table: %s.", run_id, problem)
        seen = {":seen": item[HOLDERS]["M"][run_id]}
        names = {"#run": run_id}
        write(client, table, "REMOVE holders.#run", "holders.#run = :seen", names, seen)
    if not contents.malformed:
        set_tickets(client, table, item)
    return contents.holders


def set_tickets(client: DynamoDBClient, table: str, item: Mapping[str, Any]) -> None:
    """Makes the tickets those of the holders, if these are still as they were read.

    Raises:
        TableError: They may be as they were.
    """
    wrong = Contents.read(item).wrong_tickets()
    if not wrong:
        return
    _log.debug("Tickets of slots are set right: %s", ", ".join(wrong))
    names = {f"#tickets{n}": name for n, name in enumerate(wrong)}
    due = {f":tickets{n}": value for n, value in enumerate(wrong.values()) if value is not None}
    clauses = {
        "SET": [f"#{name[1:]} = {name}" for name in due],
        "REMOVE": [name for name in names if f":{name[1:]}" not in due],
    }
    update = " ".join(f"{verb} {', '.join(what)}" for verb, what in clauses.items() if what)
    write(client, table, update, "holders = :seen", names, {":seen": item[HOLDERS], **due})
