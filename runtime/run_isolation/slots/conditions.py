"""On which conditions the slots item is written. All of them name what only one attempt has.

DynamoDB refuses two parentheses around the same, and a name or value that is not used.
"""

from __future__ import annotations

from typing import Final

THERE_IS_ROOM: Final = "attribute_exists(holders) AND size(holders) < {limit}"
"""The limit is the item's own ``max_holders``, or the settings' ``:limit`` while it has none."""
NO_LIMIT_OF_ITS_OWN: Final = "attribute_not_exists(location_limits.#location)"
NO_TICKETS: Final = "attribute_not_exists(#tickets)"
"""The code location has no holders: DynamoDB removes a set that has become empty."""
FEWER_TICKETS: Final = "attribute_exists(#tickets) AND size(#tickets) < {limit}"
"""It has fewer holders than it may have by its own limit."""
NOT_YET_A_HOLDER: Final = "attribute_not_exists(holders.#run)"
OLDER_ATTEMPT_HOLDS: Final = "holders.#run.attempt < :attempt"
"""It passes its slot on. This attempt's own entry stays as it is: a request that is repeated late
must not wipe out the server in it. The refusal shows that it is there."""
MAY_JOIN: Final = f"({{room}} AND {NOT_YET_A_HOLDER}) OR {OLDER_ATTEMPT_HOLDS}"

IS_MINE: Final = "holders.#run.attempt = :attempt"
NOT_HOSTED: Final = "attribute_not_exists(holders.#run.hosted_by)"
HOSTED_BY: Final = "holders.#run.hosted_by = :server"


def room_by_the_item() -> str:
    """There is room by the limits in the item. ``:zero`` is 0."""
    own = "location_limits.#location"
    fewer = FEWER_TICKETS.format(limit=own)
    location = f"{NO_LIMIT_OF_ITS_OWN} OR ({NO_TICKETS} AND {own} > :zero) OR ({fewer})"
    return f"{THERE_IS_ROOM.format(limit='max_holders')} AND ({location})"


def room_by_the_settings(location_limit: int | None) -> str:
    """There is room by the limits in the settings, ``:limit`` and ``:location_limit``.

    Args:
        location_limit: The latter. None: the code location has none, and whatever tickets were left
            behind say nothing.
    """
    if location_limit is None:
        return THERE_IS_ROOM.format(limit=":limit")
    fewer = FEWER_TICKETS.format(limit=":location_limit")
    location = f"({NO_TICKETS} OR ({fewer}))" if location_limit else fewer
    return f"{THERE_IS_ROOM.format(limit=':limit')} AND {location}"
