"""A launcher of isolated runs, and a run."""

from __future__ import annotations

import pytest
from dagster import DagsterRun

from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from tests.runtime.dagster.account import Stack
from tests.runtime.dagster.launches import Launches


@pytest.fixture
def launcher(stack: Stack) -> IsolatedLauncher:
    return IsolatedLauncher(Deployment())


@pytest.fixture
def run(launches: Launches) -> DagsterRun:
    return launches.create()
