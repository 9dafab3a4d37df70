"""What a container gets, and what keeps a task from starting."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from moto.logs.models import logs_backends

from localaws.account import ACCOUNT_ID, LocalAccount
from localaws.ecs.cgroups import detect
from localaws.ecs.process import ContainerProcess
from localaws.ecs.running_container import RunningContainer
from localaws.faults import SlowTask
from tests.localaws.conftest import LOG_GROUP, Cluster
from tests.waiting import PATIENCE_SECONDS, eventually


def limits_work() -> bool:
    try:
        detect()
    except OSError:
        return False
    return True


needs_limits = pytest.mark.skipif(not limits_work(), reason="no writable control groups")


def test_an_image_is_a_directory_and_its_tag_a_version(cluster: Cluster) -> None:
    seen = []
    for tag in ("1", "2"):
        image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/tagged:{tag}"
        argv = [
            "python",
            "-c",
            "import code, os; print(code.VERSION, os.path.basename(os.getcwd()))",
        ]
        container = {"name": "main", "image": image, "command": argv}
        task = cluster.start(cluster.register(container)).wait_for("STOPPED")
        seen.append(cluster.logs(task))
    assert seen == [["1 1"], ["2 2"]]


@pytest.mark.parametrize("given", ["/app/deep/data", "/../app/deep/data/"])
def test_the_working_directory_is_one_of_the_image(
    cluster: Cluster, local_image_root: Path, given: str
) -> None:
    data = local_image_root / "plain" / "deep" / "data"
    data.mkdir(parents=True, exist_ok=True)
    task = cluster.run("pwd", workingDirectory=given).wait_for("STOPPED")
    assert cluster.logs(task) == [str(data)]


def test_the_environment_reaches_the_account_and_the_definitions_own_wins(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    environment = [{"name": "AWS_REGION", "value": "eu-west-1"}, {"name": "MINE", "value": "x y"}]
    task = cluster.run("env; pwd; touch $HOME/here", environment=environment).wait_for("STOPPED")
    lines = cluster.logs(task)
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    assert seen["AWS_ENDPOINT_URL"] == local_account.endpoint_url
    assert (seen["AWS_REGION"], seen["MINE"]) == ("eu-west-1", "x y")
    assert seen["PYTHONPATH"] == lines[-1]
    assert task.containers[0].exit_code == 0
    assert not Path(seen["HOME"]).exists()


def test_entry_point_comes_before_the_command(cluster: Cluster) -> None:
    container = cluster.container("") | {"entryPoint": ["echo"], "command": ["a", "b"]}
    task = cluster.start(cluster.register(container)).wait_for("STOPPED")
    assert cluster.logs(task) == ["a b"]


def test_secrets_come_from_secrets_manager_and_the_parameter_store(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    manager, store = local_account.client("secretsmanager"), local_account.client("ssm")
    plain = manager.create_secret(Name=f"{cluster.name}-1", SecretString="s3cret")["ARN"]
    nested = manager.create_secret(
        Name=f"{cluster.name}-2", SecretString=json.dumps({"user": "u"})
    )["ARN"]
    store.put_parameter(Name=f"/{cluster.name}", Value="secure", Type="SecureString")
    sources = {"A": plain, "B": f"{nested}:user::", "C": f"/{cluster.name}"}
    secrets = [{"name": name, "valueFrom": where} for name, where in sources.items()]
    definition = cluster.register(cluster.container('echo "$A $B $C"', secrets=secrets))
    assert cluster.logs(cluster.start(definition).wait_for("STOPPED")) == ["s3cret u secure"]


SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:none-AbCdEf"
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no image": ({"image": "plain:none"}, "CannotPullContainerError: plain:none: not found"),
    "image outside the root": ({"image": "../../etc"}, "CannotPullContainerError"),
    "no program": ({"command": ["no-such-program"]}, "CannotStartContainerError: .*not found in"),
    "no working directory": (
        {"workingDirectory": "/none"},
        "CannotStartContainerError: workingDirectory /none: there is no such directory in "
        ".*/plain, which is /app",
    ),
    "relative working directory": (
        {"workingDirectory": "sub"},
        'CannotStartContainerError: cwd "sub" must be an absolute path',
    ),
    "no command": ({"command": []}, "CannotStartContainerError: no command"),
    "no secret": (
        {"secrets": [{"name": "A", "valueFrom": SECRET}]},
        "ResourceInitializationError: unable to pull secrets .* from asm",
    ),
    "no parameter": (
        {"secrets": [{"name": "A", "valueFrom": "/none"}]},
        "ResourceInitializationError: unable to pull secrets .* invalid ssm parameters: /none",
    ),
    "no log group": (
        {
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": "/none",
                    "awslogs-region": "us-east-1",
                    "awslogs-stream-prefix": "t",
                },
            }
        },
        "ResourceInitializationError: .*log group does not exist: /none",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_task_that_cannot_start_says_why(cluster: Cluster, case: str) -> None:
    change, reason = BROKEN[case]
    definition = cluster.register(cluster.container("echo started") | change)
    shown = cluster.describe(cluster.start(definition).wait_for("STOPPED"))
    assert shown["stopCode"] == "TaskFailedToStart"
    assert re.search(reason, shown["stoppedReason"])
    assert "exitCode" not in shown["containers"][0]
    assert "startedAt" not in shown


def test_a_task_stopped_before_its_start_never_starts(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    local_account.faults.add(SlowTask(seconds=60))
    task = cluster.run("echo started")
    assert cluster.describe(task)["lastStatus"] == "PROVISIONING"
    cluster.ecs.stop_task(cluster=cluster.name, task=task.task_arn)
    shown = cluster.describe(task.wait_for("STOPPED"))
    assert shown["stopCode"] == "UserInitiated"
    assert "startedAt" not in shown
    assert "exitCode" not in shown["containers"][0]


@needs_limits
def test_out_of_memory_is_said_as_ecs_says_it(cluster: Cluster) -> None:
    argv = ["python", "-c", "b = bytearray(1 << 30); print('too much')"]
    definition = cluster.register(
        cluster.container("") | {"command": argv}, cpu="256", memory="512"
    )
    container = cluster.describe(cluster.start(definition).wait_for("STOPPED", 30))["containers"][0]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


@needs_limits
def test_a_killed_child_is_not_the_containers_out_of_memory(cluster: Cluster) -> None:
    hungry = "python -c 'b = bytearray(1 << 30)'; echo child $?; exit 6"
    definition = cluster.register(cluster.container(hungry), cpu="256", memory="512")
    task = cluster.start(definition).wait_for("STOPPED", 30)
    container = cluster.describe(task)["containers"][0]
    assert cluster.logs(task)[-1] == "child 137"
    assert container["exitCode"] == 6
    assert "reason" not in container


@needs_limits
def test_cpu_is_limited_to_the_tasks_units(cluster: Cluster) -> None:
    # Burns CPU for one second of wall time and prints the CPU seconds that it got.
    burn = (
        "import time; e = time.time() + 1\nwhile time.time() < e: pass\nprint(time.process_time())"
    )
    definition = cluster.register(
        cluster.container("") | {"command": ["python", "-c", burn]}, cpu="256", memory="512"
    )
    task = cluster.start(definition).wait_for("STOPPED", 30)
    assert float(cluster.logs(task)[0]) < 0.5


@needs_limits
def test_control_groups_are_removed(cluster: Cluster) -> None:
    task = cluster.run("true").wait_for("STOPPED")
    for root in detect().roots:
        assert not list(root.glob(f"*{task.id}*"))


def test_logs_are_lines_also_the_last_one_and_survive_the_group(
    cluster: Cluster, local_account: LocalAccount
) -> None:
    script = r"printf 'a\nb\r\n\nc'; echo err >&2; printf 'no end'"
    task = cluster.run(script).wait_for("STOPPED")
    assert cluster.logs(task) == ["a", "b", "cerr", "no end"]
    logs = local_account.client("logs")
    task = cluster.run("echo one; while :; do sleep 0.05; echo more; done").wait_for("RUNNING")
    eventually(lambda: "one" in cluster.logs(task))
    logs.delete_log_group(logGroupName=LOG_GROUP)
    logs.create_log_group(logGroupName=LOG_GROUP)
    eventually(lambda: bool(logs.describe_log_streams(logGroupName=LOG_GROUP)["logStreams"]))
    assert task.status == "RUNNING"


def test_a_log_group_deleted_in_the_moment_of_writing_does_not_keep_a_task_from_ending(
    cluster: Cluster, local_account: LocalAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = logs_backends[ACCOUNT_ID][local_account.region]
    put, deleted = backend.put_log_events, threading.Event()

    def delete_and_put(group: str, *rest: Any) -> Any:
        if not deleted.is_set():
            backend.delete_log_group(group)
            deleted.set()
        return put(group, *rest)

    monkeypatch.setattr(backend, "put_log_events", delete_and_put)
    task = cluster.run("echo one; exec sleep 60")
    assert deleted.wait(PATIENCE_SECONDS)
    task.wait_for("RUNNING")
    cluster.ecs.stop_task(cluster=cluster.name, task=task.task_arn)
    assert task.wait_for("STOPPED").containers[0].exit_code == 143


def test_a_task_that_is_killed_before_its_process_is_there_ends_then(
    cluster: Cluster, local_account: LocalAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account that closes kills a task only once, and it may just be starting."""
    spawn = RunningContainer._spawn

    def kill_and_spawn(container: RunningContainer, *how: Any) -> ContainerProcess:
        container.kill()
        return spawn(container, *how)

    monkeypatch.setattr(RunningContainer, "_spawn", kill_and_spawn)
    task = cluster.run("trap '' TERM; sleep 60").wait_for("STOPPED")
    assert task.containers[0].exit_code == 137


def test_processes_of_stopped_tasks_are_gone(cluster: Cluster) -> None:
    task = cluster.run("setsid sleep 60 & echo $!; sleep 60").wait_for("RUNNING")
    eventually(lambda: bool(cluster.logs(task)))
    cluster.ecs.stop_task(cluster=cluster.name, task=task.task_arn)
    task.wait_for("STOPPED")
    assert not psutil.pid_exists(int(cluster.logs(task)[0]))
