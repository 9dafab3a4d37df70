"""The file that ``instance.dagsterYaml`` names, and what of it no program can pass on."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from infra.config.base import Surroundings
from infra.config.dagster_yaml import DagsterYaml
from infra.config.problems import NAMESPACE, SECRET, Problem, problems
from run_isolation.variables import Place

KEY: Final = ("instance", "dagsterYaml")
_AS_THEY_ARE: Final = ("config", "dagster_handler_config", "storage")
"""Below these a key without a value may mean something to a class."""

_PASSWORD_KEYS: Final = (
    *("password", "passwd", "api_key", "client_secret", "secret_key", "secret_access_key"),
    "access_key_or_sas_token",
)
"""What the storages and compute log managers that there are call passwords."""

_WITH_PASSWORD: Final = re.compile(r"[a-z][\w+.-]*://[^/@\s]*:[^/@\s]+@", re.IGNORECASE)
"""A URL with a password in it (RFC 3986, 3.2.1)."""


def named(path: Place) -> str:
    """A place in it, as problems name it."""
    return f"{NAMESPACE}:{'.'.join(map(str, (*KEY, *path)))}"


def checked(
    value: Any, directory: Path, surroundings: Surroundings
) -> tuple[dict[str, Any] | None, list[Problem]]:
    """What the key says: the mapping itself, or that of a file.

    Args:
        value: The key's value.
        directory: Where the stack's config file is.
        surroundings: What checks need to know beyond it.

    Returns:
        The content, None where it can't be read; and what is wrong with it.
    """
    content, found = _read(value, directory)
    if content is None:
        return None, found
    found = list(_passwords(content, ()))
    try:
        DagsterYaml.model_validate(content, context=surroundings)
    except ValidationError as error:
        found += problems(error, DagsterYaml, set(), below=KEY)
    return content, found


def _read(value: Any, directory: Path) -> tuple[dict[str, Any] | None, list[Problem]]:
    content = value
    if isinstance(value, str):
        allowed = f"a mapping, or the path of a YAML file, which begins at {directory}"
        try:
            content = yaml.safe_load((directory / value).read_text()) or {}
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            return None, [Problem(named(()), value, f"{allowed}: {why}")]
        except yaml.YAMLError as error:
            return None, [Problem(named(()), value, f"{allowed}: {' '.join(str(error).split())}")]
    if not isinstance(content, dict):
        return None, [Problem(named(()), str(value), "a mapping, or the path of a file with one")]
    found = list(_unknown_values(content, ()))
    return (None if found else _said(content)), found


def _said(content: dict[str, Any], of: str = "") -> dict[str, Any]:
    """Without keys that have no value, as where all below a key is a comment: Dagster refuses them.

    What is left out counts as what nobody has said. The queue's own config is no other class's.
    """
    kept = () if of == "run_coordinator" else _AS_THEY_ARE
    return {
        key: _said(one, key) if isinstance(one, dict) and key not in kept else one
        for key, one in content.items()
        if one is not None
    }


def _unknown_values(value: Any, path: Place) -> Iterator[Problem]:
    """What has no place in JSON, as which the instance is published: dates, keys that are numbers.

    Dagster would refuse them, too.
    """
    if isinstance(value, dict):
        for key, one in value.items():
            if isinstance(key, str):
                yield from _unknown_values(one, (*path, key))
            else:
                yield Problem(named(path), str(key), "a key that is text; put quotes around it")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _unknown_values(one, (*path, number))
    elif not isinstance(value, str | int | float | None):
        yield Problem(named(path), str(value), "text, a number, true, false, a list or a mapping")


def _passwords(value: Any, path: Place) -> Iterator[Problem]:
    """Passwords as they are: what is published, and in Pulumi's state, is no place for them."""
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _passwords(one, (*path, key))
    elif isinstance(value, str) and (path[-1] in _PASSWORD_KEYS or _WITH_PASSWORD.match(value)):
        allowed = (
            "{env: NAME}, and NAME in instance.secrets: the instance is no place for passwords"
        )
        yield Problem(named(path), SECRET, allowed)
