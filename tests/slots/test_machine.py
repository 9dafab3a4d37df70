"""Steps of the machine hold what slots promise, and its twins are all caught.

The short form; `make torture NAMES=machine` is the long one, with another seed each time.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from run_isolation.slots import conditions
from tests.slots.machine import Network, SlotsMachine
from tests.slots.twins import TWINS, Twin
from tests.torture.machine import EXAMPLES, SEED

STEPS = 50
SHORT_EXAMPLES = 40


def run(kind: type[SlotsMachine], network: Network, examples: int) -> None:
    machine = type("Machine", (kind,), {"network": network})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=SEED not in os.environ,
            database=None,
            report_multiple_bugs=False,
            phases=[Phase.generate],  # to shorten a failing list of 50 steps takes minutes
        ),
    )


def test_what_slots_promise_holds(network: Network) -> None:
    network.steps = 0
    examples = int(os.environ.get(EXAMPLES, SHORT_EXAMPLES))
    run(seed(int(os.environ.get(SEED, "1")))(SlotsMachine), network, examples)
    assert network.steps > 30 * examples


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS.keys())
def test_a_twin_without_its_guard_is_caught(
    network: Network, twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, condition in twin.conditions.items():
        monkeypatch.setattr(conditions, name, condition)
    machine = type("Twin", (SlotsMachine,), {"parts": twin.parts})
    with pytest.raises(AssertionError):
        run(seed(twin.seed)(machine), network, examples=300)
