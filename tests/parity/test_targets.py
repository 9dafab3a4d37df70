"""A code location may be named in every way that Dagster knows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from dagster import DagsterRunStatus
from dagster._api.list_repositories import sync_list_repositories_grpc

from tests.parity.conftest import side_by_side

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CODE: Final = """
import dagster as dg

@dg.asset
def orders(): ...

@dg.op
def count():
    from {package} import table
    return table.ROWS

@dg.job(executor_def=dg.in_process_executor)
def counted():
    count()

defs = dg.Definitions(assets=[orders], jobs=[counted])
"""
REPOSITORY: Final = """
from sales.definitions import counted, orders
import dagster as dg

@dg.repository
def first():
    return [counted]

@dg.repository
def shop():
    return [counted, orders]
"""

PROJECT: Final = """
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "loaded"
"""
TARGETS: Final = {
    "module": ["-m", "sales.definitions"],
    "module and attribute": ["-m", "sales.definitions", "-a", "defs"],
    "file": ["-f", "sales/definitions.py"],
    "file and attribute": ["-f", "sales/repositories.py", "-a", "shop"],
    "file and working directory": ["-f", "sales/definitions.py", "-d", "."],
    "package": ["--package-name", "shop"],
    "autoload": ["--autoload-defs-module-name", "loaded.defs"],
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A directory with the same definitions in several shapes."""
    directory = tmp_path / "image"
    for package in ("sales", "shop", "loaded", "loaded/defs"):
        (directory / package).mkdir(parents=True)
        (directory / package / "__init__.py").touch()
        (directory / package / "table.py").write_text("ROWS = 3\n")
    (directory / "sales" / "definitions.py").write_text(CODE.format(package="sales"))
    (directory / "sales" / "repositories.py").write_text(REPOSITORY)
    (directory / "shop" / "__init__.py").write_text(CODE.format(package="shop"))
    # What is autoloaded are the module's objects, not a Definitions object beside them.
    code, _, _ = CODE.format(package="loaded").partition("\ndefs = ")
    (directory / "loaded" / "defs" / "all.py").write_text(code)
    # Dagster looks for the project that the components are in.
    (directory / "pyproject.toml").write_text(PROJECT)
    return directory


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_the_location_is_served_and_executed(
    image: Path, tmp_path: Path, target: list[str]
) -> None:
    with side_by_side(image, target, tmp_path) as pair:
        ours, dagster = (sync_list_repositories_grpc(runs.server.client) for runs in pair)
        assert ours == dagster
        ended = [runs.execute("counted") for runs in pair]
        told = [runs.told(run) for runs, run in zip(pair, ended, strict=True)]
        assert [run.status for run in ended] == [DagsterRunStatus.SUCCESS] * 2, told
        ours_seen, seen = (runs.sequence(run) for runs, run in zip(pair, ended, strict=True))
        assert ours_seen == seen
