"""Loads code locations the way a container does: with the image's directory on the path."""

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    Definitions,
)

from tests.examples.locations import ROOT, Load, MaterializeAlone


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a module out of a directory below the checkout, and validate its definitions."""

    def load(directory: str, module: str) -> ModuleType:
        monkeypatch.syspath_prepend(ROOT / directory)
        loaded = importlib.import_module(module)
        Definitions.validate_loadable(loaded.defs)
        return loaded

    return load


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def materialize_alone(instance: DagsterInstance) -> MaterializeAlone:
    """Materialize one asset, in a run of its own; return its metadata."""

    def materialize(defs: Definitions, asset: str, **config: object) -> dict[str, Any]:
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[AssetKey(asset)],
            run_config={"ops": {asset: {"config": config}}} if config else None,
            instance=instance,
        )
        (materialized,) = result.get_asset_materialization_events()
        metadata = materialized.materialization.metadata
        return {entry: value.value for entry, value in metadata.items()}

    return materialize
