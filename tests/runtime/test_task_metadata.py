from typing import Any

import pytest

from run_isolation.errors import TaskMetadataError
from run_isolation.task_metadata import ENDPOINT_VARIABLE, TaskMetadata, own_arn, read
from tests.runtime.task_endpoint import endpoint

TASK = {
    "TaskARN": "arn:aws:ecs:us-east-1:123456789012:task/run-isolation-test/0123",
    "Containers": [{"Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.0.2.106"]}]}],
}


def test_in_a_task() -> None:
    with endpoint(TASK) as url:
        me = read({"ECS_CONTAINER_METADATA_URI_V4": url})

    assert me == TaskMetadata(task_arn=str(TASK["TaskARN"]), address="10.0.2.106")


@pytest.mark.parametrize("environment", [{}, {"ECS_CONTAINER_METADATA_URI_V4": ""}])
def test_outside_of_a_task(environment: dict[str, str]) -> None:
    assert read(environment) is None


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({}, 200),
        ([], 200),
        ({**TASK, "Containers": []}, 200),
        ({**TASK, "Containers": None}, 200),
        ({**TASK, "Limits": None}, 200),
        (TASK, 500),
    ],
)
def test_no_usable_answer(answer: Any, status: int) -> None:
    with (
        endpoint(answer, status) as url,
        pytest.raises(TaskMetadataError, match=r"/v4/abc/task.*ECS_CONTAINER_METADATA_URI_V4"),
    ):
        read({"ECS_CONTAINER_METADATA_URI_V4": url})


def test_nobody_there() -> None:
    with pytest.raises(TaskMetadataError, match="refused"):
        read({"ECS_CONTAINER_METADATA_URI_V4": "http://127.0.0.1:1"})


def test_the_task_s_limits() -> None:
    with endpoint({**TASK, "Limits": {"CPU": 0.25, "Memory": 1024}}) as url:
        me = read({"ECS_CONTAINER_METADATA_URI_V4": url})

    assert me is not None
    assert (me.vcpu, me.memory_mib) == (0.25, 1024)


def test_a_task_knows_its_arn_before_it_has_an_address() -> None:
    """A worker needs nothing else."""
    with endpoint({**TASK, "Containers": []}) as url:
        assert own_arn({ENDPOINT_VARIABLE: url}) == TASK["TaskARN"]
