"""Fixtures for tests of your own code locations: `pytest_plugins = ["localaws.pytest_plugin"]`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from localaws.account import LocalAccount


@pytest.fixture(scope="session")
def local_image_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of images (see `localaws.ecs.images`): make yours below it."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def local_account_options() -> dict[str, Any]:
    """More arguments of `LocalAccount`; override it for others.

    Tasks are processes of this environment, so that code that is installed editable is found.
    """
    return {"apart": False, "first_check_seconds": 1.0}


@pytest.fixture(scope="session")
def local_account_session(
    local_image_root: Path,
    local_account_options: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LocalAccount]:
    """An account for the whole session: a process has one at a time."""
    # moto takes a second to import: only sessions that use an account pay for it.
    from localaws.account import LocalAccount

    directory = tmp_path_factory.mktemp("account")
    with LocalAccount(local_image_root, directory, **local_account_options) as account:
        yield account


@pytest.fixture
def local_account(local_account_session: LocalAccount) -> Iterator[LocalAccount]:
    """The session's account, without faults and with an empty record of calls."""
    local_account_session.faults.clear()
    local_account_session.calls.clear()
    yield local_account_session
    local_account_session.faults.clear()


@pytest.fixture
def local_environment(local_account: LocalAccount, monkeypatch: pytest.MonkeyPatch) -> LocalAccount:
    """The account, with this process's environment set so that boto3's defaults use it."""
    for name, value in local_account.environment().items():
        monkeypatch.setenv(name, value)
    return local_account
