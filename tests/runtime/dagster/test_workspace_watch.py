"""A process learns of code locations that come and go, whoever writes the file first."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml

from run_isolation.dagster import workspace_watch
from run_isolation.dagster.home import write_home
from run_isolation.dagster.workspace_watch import WorkspaceWatch, watch_workspace
from run_isolation.manifest import Manifest
from tests.runtime.manifests import MANIFEST

SALES = MANIFEST.locations["sales"]
GROWN = MANIFEST.model_copy(
    update={
        "locations": {
            "sales": SALES,
            "new": SALES.model_copy(update={"host": "new.test.run-isolation.internal"}),
        }
    }
)


@pytest.fixture
def manifests(monkeypatch: pytest.MonkeyPatch) -> list[Manifest]:
    """What the manifest is at each look; the last one stays."""
    found = [MANIFEST]
    monkeypatch.setattr(
        workspace_watch, "load_manifest", lambda: found.pop(0) if len(found) > 1 else found[0]
    )
    return found


def names(home: Path) -> list[str]:
    entries = yaml.safe_load((home / "workspace.yaml").read_text())["load_from"]
    return [entry["grpc_server"]["location_name"] for entry in entries]


def test_a_new_code_location_is_written_and_told_once(
    tmp_path: Path, manifests: list[Manifest]
) -> None:
    write_home(tmp_path, MANIFEST)
    told = Mock()
    watch = WorkspaceWatch(tmp_path, told)
    manifests.append(GROWN)

    assert [watch.check() for _ in range(3)] == [False, True, False]

    assert names(tmp_path) == ["new", "sales"]
    told.assert_called_once_with()


def test_each_process_is_told_also_where_another_has_written_the_file(
    tmp_path: Path, manifests: list[Manifest]
) -> None:
    write_home(tmp_path, MANIFEST)
    told = Mock()
    watch = WorkspaceWatch(tmp_path, told)
    assert not watch.check()
    manifests[:] = [GROWN]
    write_home(tmp_path, GROWN)

    assert watch.check()
    told.assert_called_once_with()


@pytest.mark.parametrize("obstacle", ["no file", "switched off"])
def test_nothing_is_watched_where_there_is_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    started = Mock()
    monkeypatch.setattr(WorkspaceWatch, "start", started)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    if obstacle == "switched off":
        write_home(tmp_path, MANIFEST)
        watch_workspace(Mock())
        started.assert_called_once_with()
        started.reset_mock()
        monkeypatch.setenv("RUN_ISOLATION_DISABLED", "1")

    watch_workspace(Mock())
    started.assert_not_called()
