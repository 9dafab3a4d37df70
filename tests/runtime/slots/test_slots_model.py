"""Any order of acquires, releases, settings and losses, against a model of a dozen lines."""

import hypothesis.strategies as st
import pytest
from botocore.retries.standard import ExponentialBackoff
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from moto import mock_aws

from run_isolation import (
    Acquired,
    Denied,
    Disabled,
    Holder,
    NonIsolatedRuns,
    Slots,
    SupersededError,
    aws,
)
from run_isolation.errors import TableUnreachableError
from tests.runtime.conftest import ENVIRONMENT
from tests.runtime.network import ALWAYS, Network
from tests.runtime.tables import TABLE, configure, create_table

RUNS = st.sampled_from(["run-a", "run-b", "run-c"])
ATTEMPTS = st.integers(1, 3)
LOSSES = st.sampled_from([0, 0, 1, ALWAYS])


class SlotsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name, value in ENVIRONMENT.items():
            self.patch.setenv(name, value)
        self.patch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0)
        self.aws = mock_aws()
        self.aws.start()
        client = aws.dynamodb()
        create_table(client)
        self.slots = Slots(client, TABLE)
        self.network = Network(client)
        self.attempts: dict[str, int] = {}
        self.limit = 0

    def teardown(self) -> None:
        self.aws.stop()
        self.patch.undo()

    @initialize(limit=st.integers(1, 3))
    def start(self, limit: int) -> None:
        self.configure(1)
        self.slots.acquire(Holder("run-0", 1, "sales"))  # creates the map
        self.slots.release("run-0", 1)
        self.configure(limit)

    @rule(limit=st.integers(0, 3))
    def configure(self, limit: int) -> None:
        self.limit = limit
        configure(
            self.slots.client,
            NonIsolatedRuns(enabled=limit > 0, max_concurrent_non_isolated_runs=max(limit, 1)),
        )

    @rule(run=RUNS, attempt=ATTEMPTS, lost=LOSSES, answer=st.booleans())
    def acquire(self, run: str, attempt: int, lost: int, answer: bool) -> None:
        held = self.attempts.get(run, 0)
        may_hold = 0 < held <= attempt or (not held and len(self.attempts) < self.limit)
        (self.network.lose_answers if answer else self.network.lose_requests)("UpdateItem", lost)
        try:
            answered = self.slots.acquire(Holder(run, attempt, "sales"))
        except TableUnreachableError:
            assert lost == ALWAYS
            if answer and may_hold:
                self.attempts[run] = attempt
        except SupersededError:
            assert held > attempt
        else:
            assert isinstance(answered, Acquired) == may_hold
            assert isinstance(answered, Disabled) == (not may_hold and not self.limit)
            if isinstance(answered, Denied):
                assert {holder.run_id for holder in answered.holders} == set(self.attempts)
            if may_hold:
                self.attempts[run] = attempt
        finally:
            self.network.recover()

    @rule(run=RUNS, attempt=ATTEMPTS, lost=LOSSES, answer=st.booleans())
    def release(self, run: str, attempt: int, lost: int, answer: bool) -> None:
        (self.network.lose_answers if answer else self.network.lose_requests)("UpdateItem", lost)
        try:
            removed = self.slots.release(run, attempt)
        except TableUnreachableError:
            assert lost == ALWAYS
            if not answer:
                return
        else:
            assert not removed or self.attempts[run] == attempt
        finally:
            self.network.recover()
        if self.attempts.get(run) == attempt:
            del self.attempts[run]

    @invariant()
    def table_is_as_the_model(self) -> None:
        holders = {holder.run_id: holder.attempt for holder in self.slots.holders()}
        assert holders == self.attempts


TestSlots = SlotsMachine.TestCase
TestSlots.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    phases=[Phase.generate],  # to shorten a failing list of 30 steps takes minutes
)
