"""What a forked run finds in place of Dagster's own."""

from __future__ import annotations

import pytest
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClassData

from run_isolation.dagster.warm.run_patches import open_instance


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
