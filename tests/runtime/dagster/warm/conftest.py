"""One instance and one warm server for each module of tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dagster import DagsterInstance

from tests.runtime.dagster.warm.server import CodeServer


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as instance:
        yield instance


@pytest.fixture(scope="module")
def server(
    instance: DagsterInstance, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CodeServer]:
    with CodeServer.running(tmp_path_factory.mktemp("server"), instance) as server:
        yield server
