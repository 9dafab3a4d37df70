"""What is wrong with a config, for tests."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.config import Config, ConfigError, Problem, parse
from tests.infra.program import ACCOUNT


def texts(config: dict[str, Any]) -> dict[str, str]:
    """As Pulumi hands it over."""
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in config.items()}


def accepted(
    config: dict[str, Any], *, account: str = ACCOUNT, directory: Path | None = None
) -> Config:
    """The config, typed."""
    beside = {} if directory is None else {"directory": directory}
    return parse(texts(config), deployment="prod", account=account, **beside)


def problems(
    config: dict[str, Any],
    *,
    stack: str = "prod",
    account: str = ACCOUNT,
    secret: str = "",
    directory: Path | None = None,
) -> list[Problem]:
    """Everything that is wrong with it."""
    beside = {} if directory is None else {"directory": directory}
    with pytest.raises(ConfigError) as refused:
        parse(
            texts(config), deployment=stack, account=account, secret=frozenset([secret]), **beside
        )
    return refused.value.problems


def problem(config: dict[str, Any], **around: Any) -> Problem:
    """The one thing that is wrong with it."""
    [found] = problems(config, **around)
    return found
