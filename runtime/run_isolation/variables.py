"""Where ``dagster.yaml`` names an environment variable, as ``{env: NAME}``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

Place = tuple[str | int, ...]
"""Keys, and numbers in lists, from the outermost on."""

_NO_SOURCES: Final[tuple[Place, ...]] = (("auto_materialize",), ("python_logs",))
"""Where ``{env: X}`` names no environment variable: tags and handlers mean it as it stands, and for
the rest Dagster looks none up, whatever its schema says (``InstanceRef.settings``,
dagster/_core/instance/ref.py)."""


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
