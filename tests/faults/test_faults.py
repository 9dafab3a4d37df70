"""Every row of the fault table, for ours and for EcsRunLauncher under the very same fault."""

from __future__ import annotations

import pytest

from tests.faults.contenders import ECS_RUN_LAUNCHER, OURS
from tests.faults.table import FAULTS, Fault
from tests.faults.theatre import Theatre

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_ours_holds(everything: Theatre, fault: Fault) -> None:
    with everything.stage(OURS) as stage:
        seen = fault.meet(stage)
    assert seen.executed <= 1, seen
    assert seen.true, seen
    assert seen.tasks_left == seen.slots_left == 0, seen
    assert seen.status == fault.wanted, seen
    assert seen.told, seen
    assert seen.all_steps, seen


@pytest.mark.rival
@pytest.mark.parametrize(
    "fault", [pytest.param(fault, id=fault.name) for fault in FAULTS if fault.theirs]
)
def test_the_fault_strikes_ecs_run_launcher_as_is_known(everything: Theatre, fault: Fault) -> None:
    with everything.stage(ECS_RUN_LAUNCHER) as stage:
        seen = fault.meet(stage)
    assert seen.status == fault.theirs, seen
