"""The fault table: each row a fault, and what must become of a run that meets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.faults import api_faults, cancel_faults, crash_faults, standing_faults, task_faults
from tests.faults.stage import Seen, Stage

S: Final = "SUCCESS"
F: Final = "FAILURE"
C: Final = "CANCELED"
FOR_EVER: Final = "STARTED"


@dataclass(frozen=True)
class Fault:
    """One row."""

    name: str
    """In words, as the results show it."""
    meet: Callable[[Stage], Seen]
    wanted: str
    """The status that the run should end with."""
    theirs: str | None
    """The status that EcsRunLauncher 0.29.27 leaves; None where the fault can't happen to it."""

    def held(self, seen: Seen) -> bool:
        """Whether all is as wanted. A success that is true is better than a wanted failure."""
        if self.wanted == F and seen.status == S:
            return seen.kept
        return seen.kept and seen.status == self.wanted and seen.told and seen.all_steps


FAULTS: Final = (
    Fault("the answer to RunTask is lost", api_faults.lost_answer, S, S),
    Fault("RunTask succeeds after 11 s", api_faults.late_success, S, S),
    Fault("RunTask is throttled 8 times", api_faults.throttle_storm, S, F),
    Fault("EC2 throttles RunTask 3 times", api_faults.wrapped_throttle, S, S),
    Fault("no capacity 3 times", api_faults.no_capacity, S, S),
    Fault("RunTask answers neither task nor failure", api_faults.empty_answer, S, F),
    Fault("AccessDenied", api_faults.access_denied, F, F),
    Fault("the task is dead before its start", task_faults.dead_before_start, S, F),
    Fault("out of memory", task_faults.out_of_memory, F, F),
    Fault("exit 0 without finishing", task_faults.exit_0_unfinished, F, FOR_EVER),
    Fault("a dead task shows no containers", task_faults.empty_containers, F, FOR_EVER),
    Fault("a side-car exits with 143", task_faults.side_car_exit, S, S),
    Fault("the task starts after the start timeout", task_faults.late_start, F, F),
    Fault("a second task of a run that goes on", task_faults.second_task, S, S),
    Fault("two tasks of a run start at once", task_faults.two_tasks_at_once, S, S),
    Fault("the launcher is killed at each step", crash_faults.killed_at_each_step, S, F),
    Fault("the daemon is killed during RunTask", crash_faults.daemon_restarted, S, S),
    Fault("canceled in the queue", cancel_faults.cancel_queued, C, C),
    Fault("canceled during RunTask", cancel_faults.cancel_during_run_task, C, C),
    Fault("canceled before the task starts", cancel_faults.cancel_before_start, C, C),
    Fault("canceled while its code runs", cancel_faults.cancel_started, C, C),
    Fault(
        "canceled in the standing container", cancel_faults.cancel_in_standing_container, C, None
    ),
    Fault("DynamoDB is down", standing_faults.table_down, S, S),
    Fault("the answer to StartRun is lost", standing_faults.lost_start_answer, S, None),
    Fault("the code server is killed", standing_faults.code_server_killed, F, S),
    Fault("the standing task is redeployed", standing_faults.redeployed, S, S),
)
