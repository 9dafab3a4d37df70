"""Which ends of tasks pass by themselves, in ECS's own words, and what is said about the others."""

from __future__ import annotations

import pytest

from run_isolation.isolated.stop_reasons import advice, out_of_memory, passes_by_itself
from run_isolation.tasks import TaskState

OOM = "OutOfMemoryError: Container killed due to memory usage"
PULL = "CannotPullContainerError: "
INIT = "ResourceInitializationError: unable to pull secrets or registry auth: "


def stopped(
    code: str = "TaskFailedToStart", reason: str = "", *, exit_code: int | None = None
) -> TaskState:
    return TaskState("arn:task/1", "STOPPED", code, reason, exit_code)


@pytest.mark.parametrize(
    "state",
    [
        stopped("SpotInterruption", "Your Spot Task was interrupted.", exit_code=143),
        stopped("TerminationNotice", "Task retired"),
        stopped("InfrastructureHealth", exit_code=137),
        stopped(reason="Timeout waiting for network interface provisioning to complete."),
        stopped(reason="Timeout waiting for EphemeralStorage provisioning to complete."),
        stopped(
            reason="Unexpected EC2 error while attempting to Create Network Interface with public "
            "IP assignment disabled in subnet 'subnet-1': InsufficientFreeAddressesInSubnet"
        ),
        stopped(reason="Capacity is unavailable at this time. Please try again later"),
        stopped(
            reason=PULL + "pull image manifest has been retried 5 time(s): failed to do request: "
            "Head https://registry/v2/x: dial tcp 10.0.0.1:443: i/o timeout"
        ),
        stopped(reason=PULL + "toomanyrequests: You have reached your pull rate limit."),
        stopped(reason=PULL + "ref pull has been retried 1 time(s): failed to copy: EOF"),
        stopped(reason=PULL + "unexpected status code 503 Service Unavailable"),
        stopped(
            reason=INIT + "service call has been retried 3 time(s): RequestError: send request "
            "failed: dial tcp 10.0.0.2:443: i/o timeout"
        ),
        stopped(reason=INIT + "ThrottlingException: Rate exceeded"),
        stopped(reason="DockerTimeoutError: Could not transition to started; timed out"),
        stopped(reason="Agent disconnected"),
        stopped("EssentialContainerExited", "Essential container in task exited", exit_code=4),
    ],
    ids=lambda state: state.stopped_reason[-40:] or state.stop_code,
)
def test_what_passes_by_itself(state: TaskState) -> None:
    assert passes_by_itself(state)


@pytest.mark.parametrize(
    "state",
    [
        stopped(reason=PULL + "image:7 has been retried 5 time(s): failed to resolve: not found"),
        stopped(reason=PULL + "manifest unknown; earlier tries: i/o timeout"),
        stopped(reason=PULL + "pull access denied, repository does not exist"),
        stopped(
            reason=INIT + "unable to retrieve secret from asm: service call has been retried 1 "
            "time(s): ResourceNotFoundException: Secrets Manager can't find the specified secret."
        ),
        stopped(reason=INIT + "AccessDeniedException: User is not authorized to perform: x"),
        stopped("EssentialContainerExited", "Essential container in task exited", exit_code=1),
        stopped("EssentialContainerExited", "Essential container in task exited", exit_code=0),
        stopped("EssentialContainerExited", "Essential container in task exited", exit_code=137),
        stopped("EssentialContainerExited", "Essential container in task exited"),
        stopped("UserInitiated", "Task stopped by user"),
        # What ran and ended would do so again, whatever the words.
        stopped("EssentialContainerExited", "Internal error", exit_code=1),
        stopped(reason="Internal error: out of memory, OutOfMemoryError"),
        stopped(reason=OOM),
        stopped(reason="something new"),
        stopped(reason=""),
    ],
    ids=lambda state: f"{state.stopped_reason[-40:]} {state.exit_code}",
)
def test_what_has_to_be_mended(state: TaskState) -> None:
    assert not passes_by_itself(state)


def test_a_words_of_the_container_count_as_well() -> None:
    state = TaskState("arn", "STOPPED", "TaskFailedToStart", container_reason=PULL + "i/o timeout")
    assert passes_by_itself(state)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (TaskState("a", "STOPPED", exit_code=137, container_reason=OOM), "needs more memory"),
        (TaskState("a", "STOPPED", exit_code=137, container_reason=OOM), "tag ecs/memory (MiB)"),
        (
            TaskState("a", "STOPPED", exit_code=137, container_reason=OOM),
            "run-isolation:codeLocations.sales.isolated.memory in the stack config",
        ),
        (TaskState("a", "STOPPED", exit_code=137), "137 is SIGKILL"),
        (TaskState("a", "STOPPED", exit_code=0), "Exit code 0 is no success"),
        (stopped(reason=PULL + "not found"), "run-isolation:codeLocations.sales.image"),
        (stopped(reason=INIT + "no"), "run-isolation:codeLocations.sales.secrets"),
    ],
)
def test_advice(state: TaskState, says: str) -> None:
    assert says in advice(state, "sales")


def test_no_advice_where_the_reason_says_enough() -> None:
    assert advice(stopped("EssentialContainerExited", exit_code=1), "sales") == ""
    assert advice(stopped("SpotInterruption", "Your Spot Task was interrupted."), "sales") == ""
    assert advice(TaskState("a", "RUNNING"), "sales") == ""


@pytest.mark.parametrize("spelling", [OOM, "OutOfMemory: container killed", "outOfMemoryError"])
def test_out_of_memory_however_it_is_spelled(spelling: str) -> None:
    assert out_of_memory(TaskState("a", "STOPPED", container_reason=spelling))
    assert not out_of_memory(TaskState("a", "STOPPED", exit_code=137))
