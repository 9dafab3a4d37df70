"""What is wrong with a config, for tests."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.config import DIRECTORY, Config, ConfigError, Problem, parse
from tests.infra.program import ACCOUNT


def texts(config: dict[str, Any]) -> dict[str, str]:
    """As Pulumi hands it over."""
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in config.items()}


def accepted(
    config: dict[str, Any], *, account: str = ACCOUNT, directory: Path = DIRECTORY
) -> Config:
    """The config, typed."""
    return parse(texts(config), deployment="prod", account=account, directory=directory)


def problems(
    config: dict[str, Any],
    *,
    stack: str = "prod",
    account: str = ACCOUNT,
    secret: str = "",
    directory: Path = DIRECTORY,
) -> list[Problem]:
    """Everything that is wrong with it."""
    hidden = frozenset([secret])
    with pytest.raises(ConfigError) as refused:
        parse(texts(config), deployment=stack, account=account, secret=hidden, directory=directory)
    return refused.value.problems


def problem(config: dict[str, Any], **around: Any) -> Problem:
    """The one thing that is wrong with it."""
    [found] = problems(config, **around)
    return found
