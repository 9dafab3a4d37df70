"""Sizes and definitions that are refused at registration."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.ecs.fargate import cpu_units, memory_mib
from tests.localaws.conftest import Cluster

SIZES = [
    # cpu, memory, whether Fargate has it
    ("256", "512", True),
    ("256", "2048", True),
    (".25 vCPU", "2 GB", True),
    ("256", "3072", False),
    ("4096", "8192", True),
    ("4096", "16384", True),
    ("4096", "30720", True),
    ("4096", "1024", False),
    ("4096", "31744", False),
    ("8192", "16384", True),
    ("8192", "18432", False),
    ("16384", "122880", True),
    ("300", "512", False),
]


@pytest.mark.parametrize(("cpu", "memory", "valid"), SIZES)
def test_sizes(cluster: Cluster, cpu: str, memory: str, valid: bool) -> None:
    if valid:
        cluster.register(cluster.container("true"), cpu=cpu, memory=memory)
        return
    with pytest.raises(ClientError, match="No Fargate configuration exists"):
        cluster.register(cluster.container("true"), cpu=cpu, memory=memory)


def test_units() -> None:
    assert (cpu_units("1 vCPU"), cpu_units("1024"), cpu_units(256)) == (1024, 1024, 256)
    assert (memory_mib("2 GB"), memory_mib("0.5GB"), memory_mib("512")) == (2048, 512, 512)


NO_LOGS = {"logDriver": "json-file"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "dependsOn": (
        {
            "dependsOn": [{"containerName": "side", "condition": "START"}],
            "logConfiguration": NO_LOGS,
        },
        "localaws does not support dependsOn of container 'main'",
    ),
    "secrets without an execution role": (
        {"secrets": [{"name": "A", "valueFrom": "/a"}], "logConfiguration": NO_LOGS},
        "executionRoleArn",
    ),
    "awslogs without an execution role": ({}, "to support log driver awslogs"),
    "ECR without an execution role": (
        {"image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/plain"},
        "to support ECR images",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(cluster: Cluster, case: str) -> None:
    change, message = REFUSED[case]
    with pytest.raises(ClientError, match=message):
        cluster.register(cluster.container("true") | change, executionRoleArn="")
