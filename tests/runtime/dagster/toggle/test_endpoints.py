"""What the page is told: no more than it needs, and nothing where nobody may launch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from dagster import DagsterInstance
from dagster._core.workspace.permissions import Permissions
from starlette.requests import Request
from starlette.responses import Response

from run_isolation import NonIsolatedRuns, Size
from run_isolation.dagster.coordinator import RunIsolationCoordinator
from run_isolation.dagster.deployment import SWITCH
from run_isolation.dagster.submit.history import History
from run_isolation.dagster.toggle import endpoints as endpoints_module
from run_isolation.dagster.toggle.cached_table import Board, TableReading
from run_isolation.dagster.toggle.endpoints import Endpoints, slot_state
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.item import Holder

HOLDERS = tuple(
    Holder(f"run-{n}", 1, "sales", since=f"2026-01-0{n}T10:00:00+00:00", hosted_by=hosted)
    for n, hosted in enumerate([ServerIdentity("arn:task", "10.0.0.1:4000"), *[None] * 4], start=1)
)


def reading(enabled: bool = True, limit: int = 1, held: int = 0) -> TableReading:
    settings = NonIsolatedRuns(enabled=enabled, max_concurrent_non_isolated_runs=limit)
    return TableReading(settings, HOLDERS[:held], {"sales": Size(cpu=256, memory=1024)})


class Page:
    """The two endpoints, with what a webserver would know."""

    def __init__(self, table: TableReading | None = None) -> None:
        self.table = table
        self.may_launch = True
        self.coordinator: object = RunIsolationCoordinator()
        self.asked_permissions: list[tuple[str, str]] = []
        self._endpoints = Endpoints(cast("Any", self._context), cast("Board", self))

    async def read(self) -> TableReading | None:
        return self.table

    @contextmanager
    def _context(self, request: Request) -> Iterator[Any]:
        yield SimpleNamespace(
            instance=SimpleNamespace(run_coordinator=self.coordinator),
            has_permission_for_location=self._may,
        )

    def _may(self, permission: str, location: str) -> bool:
        self.asked_permissions.append((permission, location))
        return self.may_launch

    def ask(self, name: str, **query: str) -> Response:
        scope = {"type": "http", "query_string": urlencode(query).encode(), "headers": []}
        endpoint = {"slots": self._endpoints.slots, "history": self._endpoints.history}[name]
        return asyncio.run(endpoint(Request(scope)))

    def answer(self, name: str = "slots", **query: str) -> Any:
        response = self.ask(name, **({"location": "sales"} | query))
        assert response.headers["Cache-Control"] == "no-store"
        return json.loads(bytes(response.body))


def test_a_free_slot_names_nobody() -> None:
    page = Page(reading(limit=2, held=1))
    assert page.answer() == {"state": "free", "limit": 2, "held": 1}
    assert page.asked_permissions == [(Permissions.LAUNCH_PIPELINE_EXECUTION, "sales")]


def test_no_free_slot_names_who_holds_it_and_nothing_of_where_it_runs() -> None:
    assert Page(reading(held=1)).answer() == {
        "state": "full",
        "limit": 1,
        "held": 1,
        "holders": [{"run_id": "run-1", "location": "sales", "since": "2026-01-01T10:00:00+00:00"}],
    }


def test_of_many_holders_the_first_three() -> None:
    told = Page(reading(limit=2, held=5)).answer()
    assert [holder["run_id"] for holder in told["holders"]] == ["run-1", "run-2", "run-3"]
    assert told["held"] == 5


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (0, {"state": "absent"}),
        (2, {"state": "free", "limit": 3, "held": 1}),
        (
            1,
            {
                "state": "full",
                "location": "sales",
                "limit": 1,
                "held": 1,
                "holders": [
                    {"run_id": "run-1", "location": "sales", "since": "2026-01-01T10:00:00+00:00"}
                ],
            },
        ),
    ],
)
def test_a_code_location_with_a_limit_of_its_own(own: int, told: dict[str, object]) -> None:
    table = reading(limit=3, held=1)
    limited = table.settings.model_copy(update={"location_limits": {"sales": own, "research": 0}})
    assert Page(replace(table, settings=limited)).answer() == told


def test_a_table_that_does_not_answer() -> None:
    assert Page(None).answer() == {"state": "unknown"}


def test_disabled_or_of_another_deployment_is_absent() -> None:
    assert slot_state(reading(enabled=False, held=1), "sales").model_dump(
        exclude_defaults=True
    ) == {"state": "absent"}
    assert slot_state(reading(), "elsewhere").state == "absent"


@pytest.mark.parametrize("why", ["read-only", "another coordinator", "switched off"])
def test_where_the_choice_would_change_nothing(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(reading(held=1))
    if why == "read-only":
        page.may_launch = False
    elif why == "another coordinator":
        page.coordinator = object()
    else:
        monkeypatch.setenv(SWITCH, "1")
    assert page.answer() == {"state": "absent"}
    assert page.answer("history", job="refresh") == {"runs": 0}


def test_history_is_that_of_job_and_assets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def read(instance: DagsterInstance, *what: object) -> History:
        asked.append(what)
        return History(runs=1, seconds=2)

    monkeypatch.setattr(endpoints_module, "read_history", read)
    assets = json.dumps([["a", "b"], ["c"]])
    told = Page(reading()).answer("history", job="refresh", assets=assets)
    assert told == {"runs": 1, "seconds": 2}
    [(location, job, keys, standing)] = asked
    assert (location, job, standing) == ("sales", "refresh", Size(cpu=256, memory=1024))
    assert [key.path for key in cast("Any", keys)] == [["a", "b"], ["c"]]


def test_history_where_non_isolated_runs_are_disabled() -> None:
    assert Page(reading(enabled=False)).answer("history", job="refresh") == {"runs": 0}


@pytest.mark.parametrize("assets", ["no JSON", "5", "[5]", "[[]]x"])
def test_assets_that_are_none(assets: str) -> None:
    assert Page(reading()).ask("history", location="sales", assets=assets).status_code == 400
