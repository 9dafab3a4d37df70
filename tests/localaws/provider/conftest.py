from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pulumi import automation

from localaws.account import LocalAccount
from localaws.provider.server import serve
from tests.localaws.provider.engine import Engine
from tools.pulumi_cli import ensure_pulumi


def pytest_configure(config: pytest.Config) -> None:
    # The SDK's own, at import: it defines resources that it has deprecated.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:pulumi_aws")
    # The SDK's own, when a program's resource fails: it leaves its coroutines unfinished.
    left = "ignore:Exception ignored in. <coroutine object run_"
    config.addinivalue_line("filterwarnings", f"{left}:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="session")
def pulumi_command() -> automation.PulumiCommand:
    return ensure_pulumi().command


@pytest.fixture(scope="session")
def provider(local_account_session: LocalAccount) -> Iterator[str]:
    """The value of PULUMI_DEBUG_PROVIDERS."""
    account = local_account_session
    server, port = serve(account.endpoint_url, account.environment())
    yield f"aws:{port}"
    server.stop(grace=None)


@pytest.fixture(scope="module")
def new_engine(
    tmp_path_factory: pytest.TempPathFactory,
    pulumi_command: automation.PulumiCommand,
    provider: str,
) -> Callable[[], Engine]:
    def make() -> Engine:
        name = f"s{uuid.uuid4().hex[:6]}"
        directory: Path = tmp_path_factory.mktemp(name) / "engine"
        return Engine(name, directory, pulumi_command, {"PULUMI_DEBUG_PROVIDERS": provider})

    return make
