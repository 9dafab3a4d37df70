"""Which daemons there are."""

from __future__ import annotations

import pytest
from dagster import DagsterInstance

from run_isolation.dagster.daemon import ReconcilerDaemon, generate_daemons
from run_isolation.dagster.deployment import SWITCH


@pytest.mark.parametrize(("switch", "ours"), [("0", True), ("1", False)])
def test_the_reconciler_is_one_of_them_unless_switched_off(
    instance: DagsterInstance, switch: str, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, switch)
    types = {daemon.daemon_type() for daemon in generate_daemons(instance)}
    assert {"SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR"} <= types
    assert (ReconcilerDaemon.daemon_type() in types) is ours
    # Those whose heartbeats the page shows.
    assert (ReconcilerDaemon.daemon_type() in instance.get_required_daemon_types()) is ours
