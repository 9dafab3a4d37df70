"""A process learns of code locations that come and go, whoever writes the file first."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml

from run_isolation import ManifestError
from run_isolation.dagster.deployment import SWITCH
from run_isolation.dagster.home import workspace_watch
from run_isolation.dagster.home.merge import write_home
from run_isolation.dagster.home.workspace_watch import WorkspaceWatch
from tests.runtime.manifests import INSTANCE, MANIFEST

SALES = MANIFEST.locations["sales"]
NEW = SALES.model_copy(update={"host": "new.test.run-isolation.internal"})
GROWN = MANIFEST.model_copy(update={"locations": {"sales": SALES, "new": NEW}})


@pytest.fixture
def manifest(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Where the manifest is read; `return_value` is what it says now."""
    load = Mock(return_value=MANIFEST)
    monkeypatch.setattr(workspace_watch, "load_manifest", load)
    return load


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_home(tmp_path, MANIFEST, INSTANCE)
    return tmp_path


def names(home: Path) -> list[str]:
    entries = yaml.safe_load((home / "workspace.yaml").read_text())["load_from"]
    return [entry["grpc_server"]["location_name"] for entry in entries]


def test_what_comes_and_goes_is_written_and_loaded_once(home: Path, manifest: Mock) -> None:
    load_again = Mock()
    watch = WorkspaceWatch(home)
    assert not watch.check(load_again)

    manifest.return_value = GROWN
    assert [watch.check(load_again) for _ in range(2)] == [True, False]
    assert names(home) == ["new", "sales"]

    manifest.return_value = MANIFEST
    assert [watch.check(load_again) for _ in range(2)] == [True, False]
    assert names(home) == ["sales"]
    assert load_again.call_count == 2


def test_what_changed_before_the_first_look_counts(home: Path, manifest: Mock) -> None:
    manifest.return_value = GROWN
    assert WorkspaceWatch(home).check(Mock())
    assert names(home) == ["new", "sales"]


@pytest.mark.parametrize("looks_before", [0, 1])
def test_each_process_loads_it_also_where_another_has_written_it(
    home: Path, manifest: Mock, looks_before: int
) -> None:
    first, second = WorkspaceWatch(home), WorkspaceWatch(home)
    for watch in [first, second] * looks_before:
        watch.check(Mock())
    manifest.return_value = GROWN
    load_again = Mock()
    assert [first.check(load_again), second.check(load_again)] == [True, True]
    assert load_again.call_count == 2


def test_a_newer_instance_is_told_of_once(
    home: Path, manifest: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    watch = WorkspaceWatch(home)
    watch.check(Mock())
    assert caplog.text == ""
    manifest.return_value = MANIFEST.model_copy(update={"instance_version": "newer"})
    for _ in range(2):
        watch.check(Mock())
    [said] = caplog.messages
    assert f"is newer; {home} was written from {INSTANCE.version}" in said


def test_a_look_that_failed_is_made_again(home: Path, manifest: Mock) -> None:
    watch = WorkspaceWatch(home)
    manifest.return_value = GROWN
    load_again = Mock(side_effect=[RuntimeError, None])
    with pytest.raises(RuntimeError):
        watch.check(load_again)
    assert watch.check(load_again)
    assert not watch.check(load_again)


def test_the_thread_survives_whatever_a_look_meets(
    home: Path, manifest: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace_watch, "CHECK_SECONDS", 0)
    manifest.side_effect = [ManifestError("m", problem="p", mend="m"), ZeroDivisionError, GROWN]
    watch = WorkspaceWatch(home)
    loaded = []

    def load_again() -> None:
        loaded.append(names(home))
        raise SystemExit  # ends the thread, and the test with it

    with pytest.raises(SystemExit):
        watch._watch(load_again)
    assert loaded == [["new", "sales"]]


def test_there_is_nothing_to_watch_without_a_file_or_where_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert workspace_watch.workspace_watch() is None
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert workspace_watch.workspace_watch() is None
    write_home(tmp_path, MANIFEST, INSTANCE)
    assert workspace_watch.workspace_watch() is not None
    monkeypatch.setenv(SWITCH, "1")
    assert workspace_watch.workspace_watch() is None
