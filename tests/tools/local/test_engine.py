"""The engine's events as progress, counts and errors."""

from __future__ import annotations

from typing import Any

from pulumi.automation.events import EngineEvent

from infra.hooks import all_rollouts, leftover_service
from localaws.provider.resource_types import TYPES
from tools.local.engine import SILENCE, Watcher

URN = "urn:pulumi:local::run-isolation::aws:ecs/service:Service::sales"


STACK = "urn:pulumi:local::run-isolation::pulumi:pulumi:Stack::run-isolation-local"
ROLLED_OUT = "urn:pulumi:local::run-isolation::pulumi:index:Stash::rolled-out"
WAIT = "create Stash rolled-out, until each changed container is healthy (0 s)"


def step(op: str, urn: str = URN, provider: str = "urn:provider") -> dict[str, Any]:
    kind = urn.split("::")[2]
    return {"metadata": {"op": op, "urn": urn, "type": kind, "provider": provider}}


def info(message: str, *, ephemeral: bool = True, urn: str = STACK) -> dict[str, Any]:
    said = {"message": f"{message}\n", "color": "never", "severity": "info", "urn": urn}
    return {"diagnosticEvent": {**said, "ephemeral": ephemeral}}


def watch(*events: dict[str, Any]) -> Watcher:
    watcher = Watcher()
    for event in events:
        watcher(EngineEvent.from_json({"sequence": 1, "timestamp": 1, **event}))
    return watcher


def test_shows_what_is_being_done_and_counts_what_is_done() -> None:
    watcher = Watcher()
    shown = []
    for event in (
        {"resourcePreEvent": step("create")},
        {"resOutputsEvent": step("create")},
        {"resourcePreEvent": step("update")},
        {"resOpFailedEvent": {**step("update"), "status": 1, "steps": 1}},
        {"resourcePreEvent": step("same")},
        {"resOutputsEvent": step("same")},
    ):
        watcher(EngineEvent.from_json({"sequence": 1, "timestamp": 1, **event}))
        shown.append(watcher.progress())
    assert shown == [
        "no changes yet; create Service sales (0 s)",
        "1 created",
        "1 created; update Service sales (0 s)",
        "1 created",
        "1 created",
        "1 created, 1 unchanged",
    ]


def test_names_the_code_location_that_comes_up_late() -> None:
    watcher = watch({"resourcePreEvent": step("create", ROLLED_OUT)})
    assert watcher.awaited() == WAIT
    for waiting in ("0 of 2 are healthy; waiting for: sales, late", "1 of 2; waiting for: late"):
        watcher(EngineEvent.from_json(info(waiting)))
        assert watcher.progress() == f"no changes yet; {WAIT}: {waiting}"
        assert watcher.awaited() == f"{WAIT}: {waiting}"
    watcher(EngineEvent.from_json({"resOutputsEvent": step("create", ROLLED_OUT)}))
    assert watcher.progress() == "1 created"


def test_names_it_also_where_the_program_waits_in_no_step() -> None:
    watcher = watch({"resOutputsEvent": step("same")}, info("0 of 1; waiting for: late"))
    assert watcher.progress() == "1 unchanged; 0 of 1; waiting for: late"


def test_other_messages_are_not_progress() -> None:
    watcher = watch(info("a lasting one", ephemeral=False), info("of a resource", urn=URN))
    assert watcher.progress() == "no changes yet"


def test_a_message_is_a_sign_of_life() -> None:
    watcher = watch()
    watcher.heard_at -= 100
    watcher(EngineEvent.from_json(info("0 of 1; waiting for: late")))
    assert watcher.silence < 100


def test_patience_outlasts_each_wait_that_is_silent() -> None:
    providers = [kind.handler.timeout for kind in TYPES.values()]
    leftover = 2 * leftover_service.PATIENCE  # for its containers, then for its name
    assert max(*providers, leftover, all_rollouts.TELL_SECONDS) < SILENCE


def test_names_what_takes_longest_and_no_component() -> None:
    role = "urn:pulumi:local::run-isolation::aws:iam/role:Role::"
    component = "urn:pulumi:local::run-isolation::run-isolation:index:CodeLocation::sales"
    watcher = watch(
        {"resourcePreEvent": step("create", component, provider="")},
        *({"resourcePreEvent": step("create", f"{role}{number}")} for number in range(5)),
    )
    assert watcher.awaited() == (
        "create Role 0 (0 s), create Role 1 (0 s), create Role 2 (0 s), 2 more"
    )


def test_the_engines_own_summary_has_the_last_word() -> None:
    changes = {"create": 2, "same": 1, "delete": 0}
    summary = {"resourceChanges": changes, "durationSeconds": 1, "PolicyPacks": {}}
    watcher = watch({"resOutputsEvent": step("create")}, {"summaryEvent": summary})
    assert watcher.counts == {"created": 2, "unchanged": 1}


def test_keeps_errors_and_no_other_messages() -> None:
    diagnostic = {"message": "quota exceeded\n", "color": "never", "severity": "error"}
    watcher = watch(
        {"diagnosticEvent": diagnostic},
        {"diagnosticEvent": {**diagnostic, "severity": "info", "message": "hello"}},
    )
    assert watcher.errors == ["quota exceeded"]


def test_errors_name_their_resource_but_not_the_stack() -> None:
    diagnostic = {"message": "quota exceeded", "color": "never", "severity": "error"}
    watcher = watch(
        {"diagnosticEvent": {**diagnostic, "urn": URN}},
        {"diagnosticEvent": {**diagnostic, "urn": STACK}},
    )
    assert watcher.errors == ["Service sales: quota exceeded", "quota exceeded"]


def test_the_reason_leaves_out_the_engines_own_last_word() -> None:
    diagnostic = {"message": "quota exceeded", "color": "never", "severity": "error"}
    watcher = watch(
        {"diagnosticEvent": {**diagnostic, "urn": URN}},
        {"diagnosticEvent": {**diagnostic, "message": "update failed"}},
    )
    assert watcher.reason() == "Service sales: quota exceeded"
