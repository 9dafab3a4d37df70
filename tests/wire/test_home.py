"""Homes and references to the instance that are out there: users' files, and stored by Dagster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import deserialize_value

from infra import instance_document
from run_isolation import Instance
from run_isolation.dagster.coordinator import RunIsolationCoordinator
from run_isolation.dagster.home.merge import write_home
from run_isolation.dagster.home.workspace import write_workspace
from run_isolation.dagster.launcher import RunIsolationLauncher
from run_isolation.default_instance import DATABASE
from run_isolation.instance import DOCUMENT
from run_isolation.table import HASH_KEY
from tests.infra import program
from tests.runtime.tables import TABLE
from tests.wire.formats import NO_BUCKET, rendered
from tests.wire.recorded import each, newest, parsed
from tests.wire.table import table


def is_ours(ref: InstanceRef) -> None:
    """Dagster imports both by the names that stand in the reference."""
    assert isinstance(ref.run_coordinator, RunIsolationCoordinator)
    assert isinstance(ref.run_launcher, RunIsolationLauncher)


def home_with(directory: Path, config: Any, name: str = "dagster.yaml") -> Path:
    (directory / name).write_text(yaml.safe_dump(config))
    return directory


@each("dagster.yaml")
def test_dagster_finds_our_classes(file: Path, tmp_path: Path) -> None:
    is_ours(InstanceRef.from_dir(str(home_with(tmp_path, parsed(file)))))


@each("dagster.sqlite.yaml")
def test_dagster_opens_the_instance(file: Path, tmp_path: Path) -> None:
    text = file.read_text().replace("/srv/dagster", str(tmp_path / "sqlite"))
    home_with(tmp_path, yaml.safe_load(text))
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_coordinator, RunIsolationCoordinator)
        assert isinstance(instance.run_launcher, RunIsolationLauncher)
        assert instance.run_monitoring_start_timeout_seconds == 1200


@each("dagster.no-bucket.yaml")
def test_dagster_home_brings_it_to_what_is_written_today(file: Path, tmp_path: Path) -> None:
    instance = instance_document.render(program.deployment(NO_BUCKET))
    write_home(home_with(tmp_path, parsed(file)), rendered(NO_BUCKET), instance)
    last = newest("dagster.no-bucket.yaml")
    assert last is not None
    assert parsed(tmp_path / "dagster.yaml") == parsed(last)


@each("workspace.yaml")
def test_dagster_loads_the_workspace(file: Path, tmp_path: Path) -> None:
    home_with(tmp_path, parsed(file), "workspace.yaml")
    origins = WorkspaceFileTarget([str(tmp_path / "workspace.yaml")]).create_origins()
    assert {origin.location_name for origin in origins} == {"sales", "research_lab"}


@each("workspace.yaml")
def test_its_entries_are_known_as_ours(file: Path, tmp_path: Path) -> None:
    """So one whose location has left the stack goes."""
    home_with(tmp_path, parsed(file), "workspace.yaml")
    manifest = rendered()
    only = {"sales": manifest.locations["sales"]}
    write_workspace(tmp_path, manifest.model_copy(update={"locations": only}), resolver=None)
    [entry] = parsed(tmp_path / "workspace.yaml")["load_from"]
    assert entry["grpc_server"]["location_name"] == "sales"


@each("start_run.json")
def test_a_reference_to_the_instance(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a webserver of another version packs it into a call."""
    monkeypatch.setenv(DATABASE, "postgresql://user:secret@db/dagster")
    args = deserialize_value(json.dumps(parsed(file)["args"]), ExecuteExternalJobArgs)
    assert args.instance_ref is not None
    is_ours(args.instance_ref)


@each("instance.json")
def test_the_instance(file: Path, account: None) -> None:
    """By a release that does not know all of it."""
    item = {HASH_KEY: {"S": "instance#1"}, DOCUMENT: {"S": json.dumps(parsed(file))}}
    with table(item) as client:
        instance = Instance.load(client, TABLE, "1")
        assert instance.model_dump(mode="json") == parsed(file)
    item[DOCUMENT]["S"] = json.dumps(parsed(file) | {"colour": "blue"})
    with table(item) as client:
        assert Instance.load(client, TABLE, "1") == instance
