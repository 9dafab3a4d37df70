"""What the code of today writes for others to read: other processes, other versions, users.

Each function drives the code that really writes, with fixed names and times, and gives what it has
written. `python -m tests.wire` records it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from infra import containers, instance_document, manifest
from infra.deployment import Kind as TaskKind
from run_isolation import IsolatedLaunch, Manifest, NonIsolatedRuns, default_instance
from run_isolation.dagster import daemon, deployment
from run_isolation.dagster.home import merge, workspace
from run_isolation.dagster.worker import Exit
from run_isolation.isolated.run_task import request
from run_isolation.task_logs import LogStream
from tests.infra import program
from tests.wire import calls
from tests.wire.runs import run_tags, run_wait
from tests.wire.table import claim, slots
from tests.wire.values import LOCATION, REVISION, RUN, TASK
from tests.wire.web import toggle

CONFIG: Final = program.changed(isolateOnOutOfMemory=False)
"""A stack's config with every key of a code location."""

SQLITE: Final = program.changed(instance={"sqliteDirectory": "/srv/dagster"})
NO_BUCKET: Final = program.changed(instance={"databaseUrlSecretArn": program.DATABASE})


def rendered(config: Mapping[str, Any] = CONFIG, account: str = program.ACCOUNT) -> Manifest:
    """The manifest that `pulumi up` makes of a config."""
    of = program.deployment(config, account=account)
    return Manifest.model_validate_json(
        manifest.render(of, ["subnet-1", "subnet-2"], "sg-1", "sg-2")
    )


def _manifest() -> Any:
    return json.loads(rendered().to_json())


def _instance() -> Any:
    """Parsed: in the item it is text."""
    return instance_document.render(program.deployment(CONFIG)).model_dump(mode="json")


def _home(config: Mapping[str, Any], name: str, account: str = program.ACCOUNT) -> Any:
    with tempfile.TemporaryDirectory() as directory:
        instance = instance_document.render(program.deployment(config, account=account))
        merge.write_home(Path(directory), rendered(config, account), instance)
        return yaml.safe_load(Path(directory, name).read_text())


def _containers() -> Any:
    """What a released `infra/` tells the images of code locations, which may be of other releases.

    Without the health check, which infra/ brings along.
    """
    of = program.deployment(CONFIG)
    texts = {
        location: {
            TaskKind.STANDING: containers.standing(of, location, REVISION),
            TaskKind.ISOLATED: containers.isolated(of, location),
        }
        for location in of.config.code_locations
    }
    return {
        location: {
            str(kind): {key: value for key, value in json.loads(text)[0].items() if key in _TOLD}
            for kind, text in kinds.items()
        }
        for location, kinds in texts.items()
    }


_TOLD: Final = {"name", "command", "environment", "secrets", "portMappings"}


def _container_context() -> Any:
    return json.loads(_containers()[LOCATION][TaskKind.STANDING]["command"][-1])


def _run_task() -> Any:
    everything = {
        "ecs/cpu": "8192",
        "ecs/ephemeral_storage": "50",
        "ecs/container_overrides": '{"environment": [{"name": "LEVEL", "value": "debug"}]}',
        "ecs/run_task_kwargs": '{"tags": [{"key": "cost", "value": "42"}]}',
        "team": "data",
    }
    return {
        "plain": request(rendered(), IsolatedLaunch(RUN, 1, LOCATION, REVISION, job="report")),
        "everything": request(
            rendered(),
            IsolatedLaunch(
                RUN,
                2,
                "research_lab",
                REVISION.replace("sales", "research_lab"),
                everything,
                "report",
            ),
        ),
    }


def _names() -> Any:
    """Names that people write down, and that one part makes and another one finds."""
    of = program.deployment(CONFIG)
    return {
        "manifest_parameter": of.manifest_parameter,
        "table": of.table,
        "cluster": of.cluster_arn,
        "hosts": {name: of.host(name) for name in of.config.code_locations},
        "families": {kind: of.family(LOCATION, kind) for kind in TaskKind},
        "log_streams": {
            kind: [stream.group, stream.name]
            for kind in TaskKind
            for stream in [LogStream.of(of.region, of.log_group(LOCATION), kind, TASK)]
        },
        "resource_tags": of.tags(location=LOCATION),
        "environment_of_webserver_and_daemon": {
            "manifest": deployment.MANIFEST,
            "database": default_instance.DATABASE,
            "way back": deployment.SWITCH,
            "resolver": workspace.RESOLVER,
        },
        "daemons": [
            each.daemon_type()
            for each in (daemon.ReconcilerDaemon, daemon.WatcherDaemon, daemon.OutOfMemoryDaemon)
        ],
        "exit_codes": {code.name: int(code) for code in Exit},
    }


FORMATS: Final[Mapping[str, Callable[[], Any]]] = {
    "dagster.yaml": lambda: _home(CONFIG, "dagster.yaml"),
    "dagster.sqlite.yaml": lambda: _home(SQLITE, "dagster.yaml", "000000000000"),
    "dagster.no-bucket.yaml": lambda: _home(NO_BUCKET, "dagster.yaml"),
    "workspace.yaml": lambda: _home(CONFIG, "workspace.yaml"),
    "manifest.json": _manifest,
    "instance.json": _instance,
    "settings.json": lambda: NonIsolatedRuns(
        enabled=True,
        max_concurrent_non_isolated_runs=2,
        allow_automated=True,
        location_limits={"research_lab": 1},
    ).to_item(),
    "slots.json": slots,
    "claim.json": claim,
    "containers.json": _containers,
    "container_context.json": _container_context,
    "run_task.json": _run_task,
    "run_tags.json": run_tags,
    "run_wait.json": run_wait,
    "start_run.json": calls.start_run,
    "toggle.json": toggle,
    "names.json": _names,
}
"""By the name of the recorded file."""


def ours(name: str, value: Any) -> Any:
    """What of a format is ours to keep: all, but of calls."""
    return calls.ours(value) if name == "start_run.json" else value
