"""Where Dagster has no extension point: a name in one of its modules, replaced for its CLI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from unittest.mock import patch


class SeamError(Exception):
    """This version of Dagster is not built as we know it."""


@contextmanager
def replaced(module: ModuleType | type, name: str, new: object) -> Iterator[None]:
    """Lets ``module.name``, a module's or a class's, be ``new``.

    Raises:
        SeamError: The module has no such name, so replacing it would change nothing.
    """
    if not hasattr(module, name):
        raise SeamError(
            f"{module.__name__} has no {name} in this version of Dagster. "
            "Install a version that pyproject.toml names for the extra run-isolation[dagster]."
        )
    with patch.object(module, name, new):
        yield
