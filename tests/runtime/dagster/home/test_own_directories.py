"""Directories of the caller's instance that a container has not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef

from run_isolation.dagster.home import own_directories
from run_isolation.dagster.home.own_directories import of_this_container


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the server has named."""
    monkeypatch.setattr(own_directories.tempfile, "gettempdir", lambda: str(tmp_path / "own"))
    monkeypatch.setenv(own_directories.DIRECTORY, "")
    own_directories.prepare()
    return Path(os.environ[own_directories.DIRECTORY])


def instance_at(home: Path) -> InstanceRef:
    """As a webserver with this DAGSTER_HOME sends it."""
    return InstanceRef.from_dir(str(home))


# /proc is nobody's to write to, not even root's.
ELSEWHERE = Path("/proc/1/of-the-webserver")


def test_what_the_caller_alone_has_becomes_the_containers_own(own: Path) -> None:
    ref = of_this_container(instance_at(ELSEWHERE)._replace(storage_data=None))
    assert Path(ref.local_artifact_storage.base_dir) == own
    assert ref.compute_logs_data is not None
    assert ref.compute_logs_data.config_dict["base_dir"] == str(own / "compute_logs")
    assert ref.run_launcher_data == instance_at(ELSEWHERE).run_launcher_data


def test_what_is_here_too_stays(own: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    ref = instance_at(tmp_path / "shared" / "made-later")
    assert of_this_container(ref) == ref


def test_values_are_kept_there(own: Path) -> None:
    ref = of_this_container(instance_at(ELSEWHERE))
    assert Path(DagsterInstance.storage_directory(Holder(ref))).is_relative_to(own)  # type: ignore[arg-type]


def test_a_process_that_no_server_of_ours_has_started_keeps_the_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(own_directories.DIRECTORY, raising=False)
    ref = instance_at(ELSEWHERE)
    assert of_this_container(ref) is ref


class Holder:
    """As much of an instance as tells its directory."""

    def __init__(self, ref: InstanceRef) -> None:
        self._local_artifact_storage = ref.local_artifact_storage
