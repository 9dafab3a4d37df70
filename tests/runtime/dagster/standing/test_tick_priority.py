"""Ticks are evaluated on the CPU of the runs."""

from __future__ import annotations

import os
from typing import Any

import pytest
from dagster._grpc.server import DagsterApiServer

from run_isolation.dagster.standing.tick_priority import PromptTicks
from run_isolation.dagster.warm.cpu_manners import Manners


@pytest.mark.parametrize("name", ["SyncExternalSensorExecution", "SyncExternalScheduleExecution"])
@pytest.mark.parametrize("kept", [True, False])
def test_a_tick_is_kept_to_it_where_runs_are(
    monkeypatch: pytest.MonkeyPatch, name: str, kept: bool
) -> None:
    def where(_servicer: Any, request: str, context: str) -> Any:
        return request, context, os.sched_getaffinity(0)

    monkeypatch.setattr(DagsterApiServer, name, where)
    everywhere = os.sched_getaffinity(0)
    servicer = PromptTicks.__new__(PromptTicks)
    if kept:
        servicer._manners = Manners(max(everywhere))
    found = getattr(servicer, name)("request", "context")
    assert found == ("request", "context", {max(everywhere)} if kept else everywhere)
    assert os.sched_getaffinity(0) == everywhere
