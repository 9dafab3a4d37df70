"""A call to a code location is made again while nobody answers, and only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError

from run_isolation.dagster.web import patient_launch
from run_isolation.dagster.web.patient_launch import patient


class Failed(grpc.RpcError):  # type: ignore[misc]  # grpc has no types
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


def failing(times: int, code: grpc.StatusCode) -> tuple[Callable[[], Any], list[int]]:
    """A call that fails at first, as Dagster's client says it; and the list of its tries."""
    tries: list[int] = []

    def call() -> str:
        tries.append(len(tries))
        if len(tries) <= times:
            raise DagsterUserCodeUnreachableError("Could not reach") from Failed(code)
        return "plan"

    return call, tries


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_launch, "PAUSE_SECONDS", 0.01)


def test_it_is_made_until_somebody_answers() -> None:
    call, tries = failing(3, grpc.StatusCode.UNAVAILABLE)
    assert patient(call)() == "plan"
    assert len(tries) == 4


def test_one_that_never_is_answered_fails_as_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_launch, "PATIENCE_SECONDS", 0.05)
    call, tries = failing(1000, grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(DagsterUserCodeUnreachableError, match="Could not reach"):
        patient(call)()
    assert len(tries) > 1


def test_a_slow_server_is_not_asked_twice() -> None:
    call, tries = failing(1, grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(DagsterUserCodeUnreachableError):
        patient(call)()
    assert len(tries) == 1
