"""The engine's events as progress, counts and errors."""

from __future__ import annotations

from typing import Any

from pulumi.automation.events import EngineEvent

from tools.local.engine import Watcher

URN = "urn:pulumi:local::run-isolation::aws:ecs/service:Service::sales"


def step(op: str) -> dict[str, Any]:
    return {"metadata": {"op": op, "urn": URN, "type": "aws:ecs/service:Service", "provider": ""}}


def watch(*events: dict[str, Any]) -> tuple[Watcher, list[str]]:
    shown: list[str] = []
    watcher = Watcher(shown.append)
    for event in events:
        watcher(EngineEvent.from_json({"sequence": 1, "timestamp": 1, **event}))
    return watcher, shown


def test_shows_what_is_being_done_and_counts_what_is_done() -> None:
    watcher, shown = watch(
        {"resourcePreEvent": step("create")},
        {"resOutputsEvent": step("create")},
        {"resourcePreEvent": step("update")},
        {"resourcePreEvent": step("same")},
        {"resOutputsEvent": step("same")},
    )
    assert shown == [
        "no change yet; create Service sales",
        "1 created; update Service sales",
    ]
    assert watcher.summary() == "1 created, 1 unchanged"


def test_the_engines_own_summary_has_the_last_word() -> None:
    changes = {"create": 2, "same": 1, "delete": 0}
    summary = {"resourceChanges": changes, "durationSeconds": 1, "PolicyPacks": {}}
    watcher, _ = watch({"resOutputsEvent": step("create")}, {"summaryEvent": summary})
    assert watcher.counts == {"created": 2, "unchanged": 1}


def test_keeps_errors_and_no_other_messages() -> None:
    diagnostic = {"message": "quota exceeded\n", "color": "never", "severity": "error"}
    watcher, _ = watch(
        {"diagnosticEvent": diagnostic},
        {"diagnosticEvent": {**diagnostic, "severity": "info", "message": "hello"}},
    )
    assert watcher.errors == ["quota exceeded"]


def test_errors_name_their_resource_but_not_the_stack() -> None:
    diagnostic = {"message": "quota exceeded", "color": "never", "severity": "error"}
    stack = "urn:pulumi:local::run-isolation::pulumi:pulumi:Stack::run-isolation-local"
    watcher, _ = watch(
        {"diagnosticEvent": {**diagnostic, "urn": URN}},
        {"diagnosticEvent": {**diagnostic, "urn": stack}},
    )
    assert watcher.errors == ["Service sales: quota exceeded", "quota exceeded"]


def test_the_reason_leaves_out_the_engines_own_last_word() -> None:
    diagnostic = {"message": "quota exceeded", "color": "never", "severity": "error"}
    watcher, _ = watch(
        {"diagnosticEvent": {**diagnostic, "urn": URN}},
        {"diagnosticEvent": {**diagnostic, "message": "update failed"}},
    )
    assert watcher.reason() == "Service sales: quota exceeded"
