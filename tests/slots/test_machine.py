"""Thousands of steps of the machine hold what slots promise; its twins are all caught."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from run_isolation.slots import slots
from tests.slots.machine import Network, SlotsMachine
from tests.slots.twins import TWINS, Twin

STEPS = 50


def run(kind: type[SlotsMachine], network: Network, examples: int) -> None:
    machine = type("Machine", (kind,), {"network": network})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
            report_multiple_bugs=False,
            phases=[Phase.generate],  # to shorten a failing list of 50 steps takes minutes
        ),
    )


def test_what_slots_promise_holds(network: Network) -> None:
    network.steps = 0
    run(SlotsMachine, network, examples=100)
    assert network.steps > 3_000


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS.keys())
def test_a_twin_without_its_guard_is_caught(
    network: Network, twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, condition in twin.conditions.items():
        monkeypatch.setattr(slots, name, condition)
    machine = type("Twin", (SlotsMachine,), {"parts": twin.parts})
    with pytest.raises(AssertionError):
        run(seed(twin.seed)(machine), network, examples=300)
