"""`workspace.yaml`: the deployment's code locations, and entries of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from run_isolation.dagster.home.files import HomeConflictError, Written
from run_isolation.dagster.home.workspace import write_workspace
from tests.runtime.manifests import MANIFEST

SALES = MANIFEST.locations["sales"]


def write(home: Path, *names: str, resolver: str | None = None) -> Written:
    """Writes it for code locations of these names."""
    locations = {
        name: SALES.model_copy(update={"host": f"{name}.test.run-isolation.internal"})
        for name in names
    }
    manifest = MANIFEST.model_copy(update={"locations": locations})
    return write_workspace(home, manifest, resolver=resolver)


def servers(home: Path) -> list[Any]:
    entries = yaml.safe_load((home / "workspace.yaml").read_text())["load_from"]
    return [entry.get("grpc_server", entry) for entry in entries]


def existing(home: Path, *entries: dict[str, Any]) -> None:
    (home / "workspace.yaml").write_text(yaml.safe_dump({"load_from": list(entries)}))


def test_it_follows_the_manifest_and_keeps_other_entries(tmp_path: Path) -> None:
    theirs = {"python_file": "mine.py"}
    existing(tmp_path, theirs)
    write(tmp_path, "sales", "research")
    written = write(tmp_path, "sales", "finance")
    first, *ours = servers(tmp_path)
    assert first == theirs
    assert [server["location_name"] for server in ours] == ["finance", "sales"]
    gone, foreign = written.told
    assert "'research' is gone" in gone
    assert "say `locationName: research`" in gone
    assert "'mine.py' is not of this deployment" in foreign


def test_dagster_knows_a_location_by_the_name_that_it_is_given(tmp_path: Path) -> None:
    """So a location keeps the state of its schedules under the name that it had before."""
    named = SALES.model_copy(update={"location_name": "my_pkg.definitions"})
    manifest = MANIFEST.model_copy(update={"locations": {"sales": named}})
    written = write_workspace(tmp_path, manifest, resolver=None)
    assert [server["location_name"] for server in servers(tmp_path)] == ["my_pkg.definitions"]
    assert written.told == ()


def test_a_location_of_the_same_name_elsewhere_is_a_conflict(tmp_path: Path) -> None:
    existing(tmp_path, {"grpc_server": {"host": "elsewhere", "port": 1, "location_name": "sales"}})
    with pytest.raises(HomeConflictError, match="'sales' at elsewhere"):
        write(tmp_path, "sales")


def test_an_entry_whose_name_is_dagsters_own_choice(tmp_path: Path) -> None:
    existing(tmp_path, {"grpc_server": {"host": "elsewhere", "port": 4000}})
    [line] = write(tmp_path, "sales").told
    assert "'grpc:elsewhere:4000' is not of this deployment" in line


def test_a_resolver_goes_into_the_hosts_and_is_recognised_again(tmp_path: Path) -> None:
    write(tmp_path, "sales", "research", resolver="127.0.0.1:5353")
    assert servers(tmp_path)[0]["host"] == (
        "dns://127.0.0.1:5353/research.test.run-isolation.internal"
    )
    write(tmp_path, "sales", "research")
    assert len(servers(tmp_path)) == 2
