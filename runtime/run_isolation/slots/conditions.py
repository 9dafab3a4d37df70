"""On which conditions the slots item is written. All of them name what only one attempt has."""

from __future__ import annotations

from typing import Final

THERE_IS_ROOM: Final = "attribute_exists(holders) AND size(holders) < {limit}"
"""The limit is the item's own ``max_holders``, or the settings' ``:limit`` while it has none."""
ROOM_IN_LOCATION: Final = (
    "((attribute_not_exists(#tickets) AND {limit} > :zero) OR "
    "(attribute_exists(#tickets) AND size(#tickets) < {limit}))"
)
"""Of a code location, by its own limit. DynamoDB removes a set that has become empty."""
NO_LIMIT_OF_ITS_OWN: Final = "attribute_not_exists(location_limits.#location)"
NOT_YET_A_HOLDER: Final = "attribute_not_exists(holders.#run)"
OLDER_ATTEMPT_HOLDS: Final = "holders.#run.attempt < :attempt"
"""It passes its slot on. This attempt's own entry stays as it is: a request that is repeated late
must not wipe out the server in it. The refusal shows that it is there."""
MAY_JOIN: Final = f"({{room}} AND {NOT_YET_A_HOLDER}) OR {OLDER_ATTEMPT_HOLDS}"

IS_MINE: Final = "holders.#run.attempt = :attempt"
NOT_HOSTED: Final = "attribute_not_exists(holders.#run.hosted_by)"
HOSTED_BY: Final = "holders.#run.hosted_by = :server"


def room_by_the_item() -> str:
    """There is room by the limits in the item."""
    total = THERE_IS_ROOM.format(limit="max_holders")
    location = ROOM_IN_LOCATION.format(limit="location_limits.#location")
    return f"{total} AND ({NO_LIMIT_OF_ITS_OWN} OR {location})"


def room_by_the_settings() -> str:
    """There is room by the limits in the settings, ``:limit`` and ``:location_limit``."""
    location = ROOM_IN_LOCATION.format(limit=":location_limit")
    return f"{THERE_IS_ROOM.format(limit=':limit')} AND {location}"
