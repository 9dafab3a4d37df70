"""The account as a whole: two on one machine, and none that leaves anything behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from localaws.account import ACCOUNT_ID, LocalAccount
from tests.waiting import eventually

# An account in a process of its own, with one task that ignores SIGTERM and leaves its session.
PROGRAM = """
import json, sys, time
from pathlib import Path
import psutil
from localaws.account import LocalAccount
from tests.localaws.roles import free_role
with LocalAccount(
    Path(sys.argv[1]), Path(sys.argv[2]), start_delay_seconds=0.3, limits=False,
    apart=sys.argv[3] == "apart",
) as account:
    subnet = account.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    logs, ecs = account.client("logs"), account.client("ecs")
    logs.create_log_group(logGroupName="/g")
    ecs.create_cluster(clusterName="c", capacityProviders=["FARGATE"])
    options = {"awslogs-group": "/g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "t"}
    role = free_role(account.client("iam"))
    ecs.register_task_definition(
        family="f", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256",
        memory="512", executionRoleArn=role, containerDefinitions=[{
            "name": "main", "image": "plain", "stopTimeout": 2,
            "command": ["sh", "-c", "trap '' TERM; setsid sleep 60 & echo up; sleep 60"],
            "logConfiguration": {"logDriver": "awslogs", "options": options}}])
    network = {"awsvpcConfiguration": {"subnets": [subnet]}}
    arn = ecs.run_task(cluster="c", taskDefinition="f", launchType="FARGATE",
                       networkConfiguration=network)["tasks"][0]["taskArn"]
    while not logs.filter_log_events(logGroupName="/g")["events"]:
        time.sleep(0.02)
    pids = [one.pid for one in psutil.Process().children(recursive=True)]
    moments = account.task(arn).moments
    delay = (moments["startedAt"] - moments["createdAt"]).total_seconds()
    said = {"pids": pids, "delay": delay, "environment": account.environment()}
    print(json.dumps(said), flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_account(
    tmp_path: Path, how: str = "apart"
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    (tmp_path / "images/plain").mkdir(parents=True)
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path / "images"), str(tmp_path / "state"), how]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.parametrize("how", ["apart", "together"])
def test_an_account_that_is_killed_leaves_no_process_of_its_tasks(tmp_path: Path, how: str) -> None:
    with other_account(tmp_path, how) as (process, said):
        assert len(alive(said["pids"])) >= 3
        process.send_signal(signal.SIGKILL)
        process.wait()
        eventually(lambda: alive(said["pids"]) == [])


@pytest.mark.parametrize("how", ["apart", "together"])
def test_an_account_that_closes_stops_its_tasks_and_start_delay_is_kept(
    tmp_path: Path, how: str
) -> None:
    with other_account(tmp_path, how) as (process, said):
        assert said["delay"] >= 0.3
        process.stdin.close()  # type: ignore[union-attr]
        assert process.wait(20) == 0
        assert alive(said["pids"]) == []
        assert os.listdir(tmp_path / "state") == []


def test_two_accounts_on_one_machine_do_not_know_each_other(
    tmp_path: Path, local_account: LocalAccount
) -> None:
    with other_account(tmp_path) as (_, said):
        environment = said["environment"]
        theirs = boto3.client(
            "ecs",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name=environment["AWS_REGION"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            aws_session_token=environment["AWS_SESSION_TOKEN"],
        )
        assert len(theirs.list_tasks(cluster="c")["taskArns"]) == 1
        ours = local_account.client("ecs").list_clusters()["clusterArns"]
        assert not any(arn.endswith("/c") for arn in ours)
        assert environment["LOCALAWS_DNS"] != local_account.dns


def test_a_process_has_one_account_at_a_time(tmp_path: Path, local_account: LocalAccount) -> None:
    with pytest.raises(RuntimeError, match="has a LocalAccount already"):
        LocalAccount(tmp_path, tmp_path).start()


def test_the_account_id_and_regions(local_account: LocalAccount) -> None:
    assert local_account.client("sts").get_caller_identity()["Account"] == ACCOUNT_ID
    for region in ("us-east-1", "eu-central-1"):
        client = boto3.client(
            "ecs",
            endpoint_url=local_account.endpoint_url,
            region_name=region,
            aws_access_key_id="any",
            aws_secret_access_key="any",
            aws_session_token=local_account.identities.root_token,
        )
        arn = client.create_cluster(clusterName="regional")["cluster"]["clusterArn"]
        assert arn == f"arn:aws:ecs:{region}:{ACCOUNT_ID}:cluster/regional"
        client.delete_cluster(cluster="regional")


def test_the_environment_makes_boto3s_defaults_use_the_account(
    local_environment: LocalAccount,
) -> None:
    assert boto3.Session().client("sts").get_caller_identity()["Account"] == ACCOUNT_ID
