"""Where ``dagster.yaml`` names an environment variable, as ``{env: NAME}``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

Place = tuple[str | int, ...]
"""Keys, and numbers in lists, from the outermost on."""

_NO_SOURCES: Final = (("auto_materialize", "run_tags"), ("python_logs",))
"""Where ``{env: X}`` is what it looks like, and names no environment variable: a tag, say."""


def is_reference(value: object) -> bool:
    """Whether Dagster reads this value from an environment variable."""
    return isinstance(value, dict) and value.keys() == {"env"} and isinstance(value.get("env"), str)


def references(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every ``{env: NAME}``: where it is, and the name.

    Args:
        value: What ``dagster.yaml`` says, or a part of it.
        place: Of the part.
    """
    if place in _NO_SOURCES:
        return
    if is_reference(value):
        yield place, value["env"]
    elif isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in pairs:
            yield from references(one, (*place, key))
