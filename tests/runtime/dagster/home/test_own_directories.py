"""Directories of the caller's instance that a container has not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster._core.instance.ref import InstanceRef

from run_isolation.dagster.home import own_directories
from run_isolation.dagster.home.own_directories import of_this_container

# /proc is nobody's to write to, not even root's.
ELSEWHERE = Path("/proc/1/of-the-webserver")

Sent = Callable[[Path], InstanceRef]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the server has named."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "own"))
    monkeypatch.setenv(own_directories.DIRECTORY, "")
    own_directories.prepare()
    return Path(os.environ[own_directories.DIRECTORY])


@pytest.fixture
def sent(tmp_path: Path) -> Sent:
    """An instance as a webserver with a certain DAGSTER_HOME sends it."""
    home = tmp_path / "home"
    home.mkdir()
    ref = InstanceRef.from_dir(str(home))

    def at(elsewhere: Path) -> InstanceRef:
        parts = {
            name: getattr(ref, name)._replace(config_yaml=json.dumps({"base_dir": str(directory)}))
            for name, directory in {
                "local_artifact_storage_data": elsewhere,
                "compute_logs_data": elsewhere / "storage",
            }.items()
        }
        return ref._replace(**parts)

    return at


def test_what_the_caller_alone_has_becomes_the_containers_own(own: Path, sent: Sent) -> None:
    ref = of_this_container(sent(ELSEWHERE))
    assert Path(ref.local_artifact_storage.base_dir) == own
    assert ref.compute_logs_data is not None
    assert ref.compute_logs_data.config_dict["base_dir"] == str(own / "compute_logs")
    assert ref.storage_data == sent(ELSEWHERE).storage_data


def test_what_is_here_too_stays(own: Path, sent: Sent, tmp_path: Path) -> None:
    ref = sent(tmp_path / "made-later")
    assert of_this_container(ref) == ref


AS_SOMEBODY_ELSE = """
import sys
from pathlib import Path
from run_isolation.dagster.home.own_directories import _usable
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


def test_a_process_that_no_server_of_ours_has_started_keeps_the_callers(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(own_directories.DIRECTORY, raising=False)
    ref = sent(ELSEWHERE)
    assert of_this_container(ref) is ref
