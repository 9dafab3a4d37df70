"""`python -m localaws`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from tests.waiting import eventually

pytestmark = pytest.mark.e2e


@contextmanager
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    argv = [sys.executable, "-m", "localaws", "--state-dir", str(tmp_path / "state")]
    (tmp_path / "images/plain").mkdir(parents=True, exist_ok=True)
    argv += ["--image-root", str(tmp_path / "images")]
    ready = tmp_path / "state/ready.json"
    with subprocess.Popen(argv) as process:
        try:
            eventually(ready.exists)
            yield process, json.loads(ready.read_text())
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_when_ready_and_stops_its_tasks_on_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path) as (process, ready):
        assert ready["pid"] == process.pid
        # It has root's keys, which no task may read.
        assert (tmp_path / "state/ready.json").stat().st_mode & 0o077 == 0
        host, port = ready["dns"].split(":")
        assert ready["environment"]["LOCALAWS_DNS"] == f"{host}:{port}"
        socket.create_connection(("127.0.0.1", ready["provider_port"])).close()
        environment = ready["environment"]
        session = boto3.Session(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment["AWS_SESSION_TOKEN"],
            region_name=environment["AWS_REGION"],
        )
        ecs = session.client("ecs", endpoint_url=ready["endpoint_url"])
        ec2 = session.client("ec2", endpoint_url=ready["endpoint_url"])
        ecs.create_cluster(clusterName="c", capacityProviders=["FARGATE"])
        ecs.register_task_definition(
            family="f",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "m", "image": "plain", "command": ["sleep", "60"]}],
        )
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        ecs.run_task(
            cluster="c",
            taskDefinition="f",
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
        )
        me = psutil.Process(process.pid)
        eventually(lambda: any("sleep" in c.cmdline() for c in me.children(recursive=True)))
        children = me.children(recursive=True)
        process.send_signal(number)
        assert process.wait(20) == 0
        assert not any(child.is_running() for child in children)
        assert os.listdir(tmp_path / "state") == []


def test_a_taken_port_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        argv = [sys.executable, "-m", "localaws", "--state-dir", str(tmp_path / "state")]
        argv += ["--image-root", str(tmp_path), "--port", port]
        failed = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert failed.returncode == 1
    message = f"Error: --port {port}: Address already in use. Name a free port, or 0.\n"
    assert failed.stderr == message
