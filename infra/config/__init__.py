"""The stack config: read, checked, typed."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from infra.config import consistency, yaml_file
from infra.config.base import LOCAL_ACCOUNT, Surroundings, host_label
from infra.config.location import CodeLocation
from infra.config.models import Config
from infra.config.problems import NAMESPACE, ConfigError, Problem, problems

__all__ = [
    "DIRECTORY",
    "LOCAL_ACCOUNT",
    "CodeLocation",
    "Config",
    "ConfigError",
    "Problem",
    "host_label",
    "parse",
]

DIRECTORY: Final = Path(__file__).resolve().parents[2] / "stacks"
"""Of the checkout's own stacks (``stackConfigDir`` in Pulumi.yaml)."""
DEPLOYMENT_NAME_LIMIT = 23
"""S3 allows 63 characters for run-isolation-<stack>-compute-logs-<account>."""


def parse(
    raw: Mapping[str, str],
    *,
    deployment: str,
    account: str,
    secret: frozenset[str] = frozenset(),
    directory: Path = DIRECTORY,
) -> Config:
    """Checks the config and types it.

    Args:
        raw: The program's whole config as Pulumi hands it over: full key to text, which is JSON
            where the value is structured.
        deployment: The stack's name.
        account: The AWS account that the stack goes to.
        secret: Full keys whose values must not be shown.
        directory: Where the stack's config file is.

    Raises:
        ConfigError: With everything that is wrong.
    """
    values = {
        key.removeprefix(f"{NAMESPACE}:"): _decode(text)
        for key, text in sorted(raw.items())
        if key.startswith(f"{NAMESPACE}:")
    }
    hidden = {key.removeprefix(f"{NAMESPACE}:") for key in secret}
    locations = values.get("codeLocations")
    names = list(locations) if isinstance(locations, dict) else []
    found = _deployment_name_problems(deployment)
    surroundings = Surroundings(deployment, account, names)
    instance = values.get("instance")
    if isinstance(instance, dict) and instance.get(yaml_file.KEY[-1]) is not None:
        content, wrong = yaml_file.checked(instance[yaml_file.KEY[-1]], directory, surroundings)
        values["instance"] = {**instance, yaml_file.KEY[-1]: content}
        surroundings = replace(surroundings, dagster_yaml_read=content is not None)
        found += _without_secrets(wrong, hidden)
    try:
        config = Config.model_validate(values, context=surroundings)
    except ValidationError as error:
        raise ConfigError(deployment, found + problems(error, Config, hidden)) from None
    found = found or _without_secrets(consistency.problems(config), hidden)
    if found:
        raise ConfigError(deployment, found)
    return config


def _without_secrets(found: list[Problem], hidden: set[str]) -> list[Problem]:
    """The problems without the values of secret keys."""
    return [one.hidden() if one.top in hidden else one for one in found]


def _deployment_name_problems(name: str) -> list[Problem]:
    """A stack name without hyphens keeps the names of two stacks apart.

    Else the location ``eu-sales`` of stack ``prod`` and ``sales`` of ``prod-eu`` would share roles
    and task definition families.
    """
    if re.fullmatch(rf"[a-z][a-z0-9]{{0,{DEPLOYMENT_NAME_LIMIT - 1}}}", name):
        return []
    allowed = f"1 to {DEPLOYMENT_NAME_LIMIT} lower-case letters and digits, a letter first"
    mended = re.sub(r"^[0-9]+|[^a-z0-9]", "", name.lower())[:DEPLOYMENT_NAME_LIMIT]
    return [Problem("stack name", name, allowed, mended or None)]


def _decode(text: str) -> Any:
    """The value of a top-level key, typed as YAML typed it."""
    try:
        return json.loads(text)
    except ValueError:
        return text
