"""Launchers of isolated runs that wait for nothing."""

from __future__ import annotations

import pytest
from dagster import DagsterRun

from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from tests.runtime.dagster.account import Stack
from tests.runtime.dagster.launch.isolated import at_once
from tests.runtime.dagster.launches import Launches


@pytest.fixture
def deployment(stack: Stack) -> Deployment:
    return Deployment()


@pytest.fixture
def patient(deployment: Deployment) -> IsolatedLauncher:
    """Repeats for as long as any test may take, without waiting."""
    return IsolatedLauncher(deployment, seconds=1000, sleep=at_once)


@pytest.fixture
def hasty(deployment: Deployment) -> IsolatedLauncher:
    """Tries once."""
    return IsolatedLauncher(deployment, seconds=0, sleep=at_once)


@pytest.fixture
def run(launches: Launches) -> DagsterRun:
    return launches.create()
