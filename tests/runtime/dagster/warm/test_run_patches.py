"""What a forked run finds in place of Dagster's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClassData

from run_isolation.dagster.warm.run_patches import open_instance
from tests.waiting import PATIENCE_SECONDS

CRASHES = """
import os, signal, sys
from run_isolation.dagster.warm import run_patches

assert run_patches._tail_knows_pid()
with run_patches.tail(sys.argv[1], sys.stdout), open(sys.argv[1], "a") as output:
    output.write("last words")
    output.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def ref_with(instance: DagsterInstance, config: str) -> InstanceRef:
    logs = ConfigurableClassData(
        "dagster_aws.s3.compute_log_manager", "S3ComputeLogManager", config
    )
    return instance.get_ref()._replace(compute_logs_data=logs)


@pytest.mark.parametrize(
    ("config", "directory"),
    [("bucket: b\n", "of-the-run"), ("bucket: b\nlocal_dir: named\n", "named")],
)
def test_logs_wait_for_their_upload_in_the_run_s_own_directory(
    instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    directory: str,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "of-the-run")
    with open_instance(ref_with(instance, config)) as opened:
        data = opened.get_ref().compute_logs_data.config_dict
    assert data == {"bucket": "b", "local_dir": directory}


def test_other_logs_stay_where_they_are(instance: DagsterInstance) -> None:
    with open_instance(instance.get_ref()) as opened:
        assert opened.get_ref().compute_logs_data == instance.get_ref().compute_logs_data


def test_the_tail_of_a_process_that_is_killed_writes_what_is_left_and_ends(tmp_path: Path) -> None:
    step = subprocess.Popen(
        [sys.executable, "-c", CRASHES, str(tmp_path / "output")],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        step.wait(PATIENCE_SECONDS)
        # The end of what it writes is the end of all who write there.
        said, _ = step.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(step.pid, signal.SIGKILL)
        raise
    assert said == b"last words"
