"""One deployment for each kind of storage, shared by all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from localaws.account import LocalAccount
from tests.deployment.conftest import MakeStack, account, cli, make_stack, provider_port
from tests.e2e import storage
from tests.e2e.dagster_deployment import DagsterDeployment, deployed

__all__ = ["account", "cli", "make_stack", "provider_port"]
"""Fixtures of the stack, its engine and its account."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Runs a test to which the storage makes no difference on Postgres alone, if it is there."""
    if storage.postgres_programs() is None:
        return
    twice = [item for item in items if item.get_closest_marker("one_storage") and _on_sqlite(item)]
    config.hook.pytest_deselected(items=twice)
    items[:] = [item for item in items if item not in twice]


def _on_sqlite(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.params.get("shared_deployment") == "sqlite"


@pytest.fixture(
    scope="session",
    params=[
        # Each is a deployment of its own, so they can be tested side by side.
        pytest.param(name, marks=pytest.mark.xdist_group(name))
        for name in ("sqlite", "postgres")
    ],
)
def shared_deployment(
    request: pytest.FixtureRequest,
    make_stack: MakeStack,
    account: LocalAccount,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DagsterDeployment]:
    """A deployment with its webserver and daemon."""
    name = f"e2e{request.param}"
    directory = tmp_path_factory.mktemp(name)
    with ExitStack() as stack:
        if request.param == "sqlite":
            place = storage.sqlite(directory / "storage")
        else:
            programs = storage.postgres_programs()
            if programs is None:
                pytest.skip(storage.NO_POSTGRES)
            place = stack.enter_context(storage.postgres(programs, account))
        yield stack.enter_context(deployed(make_stack(name), account, directory, place))


@pytest.fixture
def deployment(shared_deployment: DagsterDeployment) -> Iterator[DagsterDeployment]:
    """The shared deployment; runs that the test leaves are ended after it."""
    yield shared_deployment
    shared_deployment.settle()
