"""The process that has imported Dagster. Run as `python -m tests.warm_tasks.server ADDRESS`."""

from __future__ import annotations

import gc
import importlib
import sys
import tempfile
from pathlib import Path
from typing import Final

import yaml
from dagster import DagsterInstance

from run_isolation import aws
from run_isolation.dagster.warm import warming
from tests import read_once
from tests.warm_tasks import forks

MODULES: Final = ("run_isolation.cli.run", "run_isolation.dagster.worker")


def warm_up() -> None:
    """Imports what a run needs, and opens what can be opened once; starts nothing."""
    for module in MODULES:
        importlib.import_module(module)
    with tempfile.TemporaryDirectory() as directory:
        storage = {"sqlite": {"base_dir": directory}}
        (Path(directory) / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage}))
        with DagsterInstance.from_config(directory) as instance:
            instance.get_runs_count()
    read_once.share()
    for client in (aws.dynamodb, aws.ssm):
        client()
    gc.collect()
    warming.warm_up()


if __name__ == "__main__":
    warm_up()
    forks.serve(sys.argv[1])
