"""One deployment for each kind of storage and each process of pytest, shared by all tests here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

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


@pytest.fixture(scope="session")
def deployments(
    make_stack: MakeStack, account: LocalAccount, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], DagsterDeployment]]:
    """The deployment with a kind of storage, which stays once it was asked for."""
    with ExitStack() as stack:

        @cache
        def deployment(kind: str) -> DagsterDeployment:
            directory = tmp_path_factory.mktemp(f"e2e{kind}")
            if kind == "sqlite":
                place = storage.sqlite(directory / "storage", account)
            else:
                programs = storage.postgres_programs()
                if programs is None:
                    pytest.skip(storage.NO_POSTGRES)
                place = stack.enter_context(storage.postgres(programs, account))
            made = deployed(make_stack(f"e2e{kind}"), account, directory, place)
            return stack.enter_context(made)

        yield deployment


@pytest.fixture(
    scope="session",
    params=[pytest.param("sqlite", marks=pytest.mark.xdist_group("sqlite")), "postgres"],
)
def shared_deployment(
    request: pytest.FixtureRequest, deployments: Callable[[str], DagsterDeployment]
) -> DagsterDeployment:
    """A deployment with its webserver and daemon."""
    return deployments(request.param)


@pytest.fixture
def deployment(shared_deployment: DagsterDeployment) -> Iterator[DagsterDeployment]:
    """The shared deployment; runs that the test leaves are ended after it."""
    yield shared_deployment
    shared_deployment.settle()
