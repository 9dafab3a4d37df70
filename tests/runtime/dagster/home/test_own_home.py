"""`dagster.yaml` of a task."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef

from run_isolation import Instance
from run_isolation.dagster.container_storage import ContainerStorage
from run_isolation.dagster.home import own_home
from run_isolation.default_instance import (
    container_storage,
    default_dagster_yaml,
    local_logs,
    s3_logs,
    sqlite,
)

# /proc is nobody's to write to, not even root's.
ELSEWHERE = "/proc/1/of-the-webserver"


def written(home: Path, instance: Instance) -> dict[str, Any]:
    own_home.write(home, instance)
    dagster_instance_config(str(home))  # raises on what Dagster does not accept
    content: dict[str, Any] = yaml.safe_load((home / "dagster.yaml").read_text())
    return content


def instance(tmp_path: Path, **keys: object) -> Instance:
    directory = str(tmp_path / "sqlite")
    return Instance(
        dagster_yaml=default_dagster_yaml(sqlite(directory), local_logs(directory)) | keys
    )


def test_it_is_the_deployments_but_for_who_decides_about_retries(tmp_path: Path) -> None:
    logs = {"managed_python_loggers": ["mine"]}
    of = instance(tmp_path, python_logs=logs, concurrency={"pools": {"default_limit": 1}})
    config = written(tmp_path, of)
    expected = {key: value for key, value in of.dagster_yaml.items() if key != "run_retries"}
    assert config == {
        "telemetry": {"enabled": False},
        "local_artifact_storage": container_storage(str(tmp_path)),
        **expected,
    }
    with DagsterInstance.from_config(str(tmp_path)) as opened:
        assert opened.managed_python_loggers == ["mine"]
        assert opened.global_op_concurrency_default_limit == 1


def test_telemetry_is_on_where_the_deployment_says_so(tmp_path: Path) -> None:
    assert written(tmp_path, instance(tmp_path, telemetry={"enabled": True}))["telemetry"] == {
        "enabled": True
    }


def test_directories_that_this_container_has_not_are_its_own(tmp_path: Path) -> None:
    artifacts = {
        "module": "dagster._core.storage.root",
        "class": "LocalArtifactStorage",
        "config": {"base_dir": ELSEWHERE},
    }
    logs = local_logs(ELSEWHERE)
    own_home.write(
        tmp_path, instance(tmp_path, local_artifact_storage=artifacts, compute_logs=logs)
    )
    ref = InstanceRef.from_dir(str(tmp_path))
    assert isinstance(ref.local_artifact_storage, ContainerStorage)
    assert Path(ref.local_artifact_storage.base_dir) == tmp_path
    assert ref.compute_logs_data.config_dict["base_dir"] == str(tmp_path / "storage")


@pytest.mark.parametrize(("directory", "kept"), [(ELSEWHERE, {}), ("/tmp", {"local_dir": "/tmp"})])
def test_logs_on_their_way_to_s3_are_in_a_directory_of_this_container(
    tmp_path: Path, directory: str, kept: dict[str, str]
) -> None:
    logs = s3_logs("logs", "p", "eu-west-1")
    staged = {**logs, "config": {**logs["config"], "local_dir": directory}}
    made = written(tmp_path, instance(tmp_path, compute_logs=staged))
    assert made["compute_logs"]["config"] == {**logs["config"], **kept}


def test_directories_that_are_here_too_stay(tmp_path: Path) -> None:
    of = instance(tmp_path)
    assert written(tmp_path, of)["compute_logs"] == of.dagster_yaml["compute_logs"]


AS_SOMEBODY_ELSE = """
import sys
from pathlib import Path
from run_isolation.dagster.home.own_home import _usable
import os
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(_usable(Path(sys.argv[1])))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_home_that_this_user_may_not_look_into_is_not_here(tmp_path: Path) -> None:
    closed = tmp_path / "root"
    closed.mkdir(mode=0o700)
    argv = [sys.executable, "-c", AS_SOMEBODY_ELSE, str(closed / "dagster_home" / "storage")]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
