"""A Dagster home written from the manifest: ``dagster.yaml`` and ``workspace.yaml``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from run_isolation.dagster.home.dagster_yaml import instance_config
from run_isolation.default_instance import COORDINATOR, LAUNCHER, Config
from run_isolation.manifest import Manifest

RESOLVER: Final = "RUN_ISOLATION_RESOLVER"
"""Environment variable with ``ip:port`` of a DNS server that knows the deployment's names, where
the machine's own does not. gRPC's name syntax has a place for it:
https://github.com/grpc/grpc/blob/master/doc/naming.md"""

_SPLIT_STORAGES: Final = frozenset({"run_storage", "event_log_storage", "schedule_storage"})
_SAID_OTHERWISE: Final = _SPLIT_STORAGES | {"run_queue"}
"""Keys that Dagster accepts in place of ``storage`` and ``run_coordinator``, never beside them
(dagster/_core/instance/config.py)."""


class HomeConflictError(Exception):
    """A file in the Dagster home says something that only its owner may change."""


@dataclass(frozen=True)
class Written:
    """What became of one file."""

    path: Path
    changed: bool
    kept: tuple[str, ...] = ()
    """Top-level keys of the user's that stand where the manifest would have put its own."""


def workspace_config(manifest: Manifest, resolver: str | None) -> Config:
    """``workspace.yaml`` with one gRPC server for each code location.

    Args:
        manifest: The deployment.
        resolver: ``ip:port`` of the DNS server that knows its names, or None for the machine's own.
    """
    prefix = f"dns://{resolver}/" if resolver else ""
    return {
        "load_from": [
            {
                "grpc_server": {
                    "host": prefix + location.host,
                    "port": location.port,
                    "location_name": name,
                }
            }
            for name, location in sorted(manifest.locations.items())
        ]
    }


def write_home(
    directory: Path, manifest: Manifest, *, resolver: str | None = None, force: bool = False
) -> list[Written]:
    """Writes both files, or merges them with what is there. Comments of an existing file are lost.

    What the user has written stays; what is missing is filled in. Only ``run_coordinator`` and
    ``run_launcher`` have to be ours, and the deployment's code locations have to be served by it.

    Args:
        directory: The Dagster home; made if missing.
        manifest: The deployment.
        resolver: See ``workspace_config``.
        force: Whether another run launcher or run coordinator may be replaced.

    Raises:
        HomeConflictError: A file holds another launcher, coordinator or code location of that name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    instance_path = directory / "dagster.yaml"
    instance = _read(instance_path)
    wanted = instance_config(manifest)
    merged = merge_instance(instance, wanted, force=force, path=instance_path)
    kept = tuple(
        key for key in ("storage", "compute_logs") if key in instance and merged[key] != wanted[key]
    )
    # First what may conflict: either both files are written or none.
    workspace = write_workspace(directory, manifest, resolver=resolver)
    return [Written(instance_path, _replace(instance_path, instance, merged), kept), workspace]


def write_workspace(directory: Path, manifest: Manifest, *, resolver: str | None) -> Written:
    """Writes ``workspace.yaml`` alone; see ``write_home``.

    Raises:
        HomeConflictError: It holds a code location of that name that is not the deployment's.
    """
    path = directory / "workspace.yaml"
    existing = _read(path)
    wanted = workspace_config(manifest, resolver)
    return Written(
        path, _replace(path, existing, merge_workspace(existing, wanted, manifest, path))
    )


_TASK_DEFAULTS: Final[Config] = {"telemetry": {"enabled": False}}
"""Dagster would take each task's new home for another installation, and report it."""


def write_task_home(directory: Path, manifest: Manifest, image_home: Path | None) -> None:
    """Writes ``dagster.yaml`` for one isolated task, which has to run in the deployment's instance.

    Args:
        directory: The task's own Dagster home.
        manifest: The deployment. What it says about the instance counts.
        image_home: The Dagster home in the image, whose other keys stay: ``python_logs`` ...

    Raises:
        HomeConflictError: The image's file is not a mapping.
    """
    given = _read(image_home / "dagster.yaml") if image_home else {}
    theirs = {key: value for key, value in given.items() if key not in _SAID_OTHERWISE}
    instance = _TASK_DEFAULTS | theirs | instance_config(manifest)
    # Whoever stores a failure with run retries on also decides whether it is retried. It is left to
    # the daemon, whose dagster.yaml says how often.
    del instance["run_retries"]
    _replace(directory / "dagster.yaml", {}, instance)


def merge_instance(existing: Config, wanted: Config, *, force: bool, path: Path) -> Config:
    """``dagster.yaml`` with the user's keys and ours.

    Dagster's own QueuedRunCoordinator and the ``run_queue`` shorthand carry over: our coordinator
    has the same config.

    Raises:
        HomeConflictError: Another launcher or coordinator is configured, and not ``force``.
    """
    merged = {key: value for key, value in existing.items() if key != "run_queue"}
    queue = existing.get("run_queue")
    coordinator = existing.get("run_coordinator")
    if isinstance(coordinator, dict) and coordinator.get("class") in (
        "QueuedRunCoordinator",
        COORDINATOR["class"],
    ):
        queue = coordinator.get("config")
    elif coordinator is not None and not force:
        raise _foreign(path, "run_coordinator", coordinator)
    ours = wanted["run_coordinator"]
    merged["run_coordinator"] = ours | {"config": ours["config"] | (queue or {})}

    launcher = existing.get("run_launcher")
    if launcher is not None and launcher != LAUNCHER and not force:
        raise _foreign(path, "run_launcher", launcher)
    merged["run_launcher"] = dict(LAUNCHER)

    split_storages = _SPLIT_STORAGES & existing.keys()
    for key in ("storage", "compute_logs", "sensors", "schedules"):
        if not (key == "storage" and split_storages):
            merged.setdefault(key, wanted[key])
    for key in ("run_monitoring", "run_retries"):
        merged[key] = wanted[key] | (existing.get(key) or {})
    return merged


def merge_workspace(existing: Config, wanted: Config, manifest: Manifest, path: Path) -> Config:
    """``workspace.yaml`` with the user's entries, and ours as the manifest has them now.

    Entries whose host belongs to the deployment are ours; those that the manifest no longer has go.

    Raises:
        HomeConflictError: An entry of the user's own has the name of one of the code locations.
    """
    domain = f".{manifest.deployment}.run-isolation.internal"
    others = []
    for entry in existing.get("load_from") or []:
        server = entry.get("grpc_server") if isinstance(entry, dict) else None
        server = server if isinstance(server, dict) else {}
        if str(server.get("host", "")).endswith(domain):
            continue
        if server.get("location_name") in manifest.locations:
            raise HomeConflictError(
                f"{path} already has a code location {server['location_name']!r} at "
                f"{server.get('host')}. Remove that entry, or rename one of the two."
            )
        others.append(entry)
    return existing | {"load_from": others + wanted["load_from"]}


def _foreign(path: Path, key: str, value: object) -> HomeConflictError:
    found = value.get("class") if isinstance(value, dict) else value
    return HomeConflictError(
        f"{path} has another {key}: {found}. Runs are isolated by ours only; "
        "pass --force to replace it, or remove the key."
    )


def _read(path: Path) -> Config:
    if not path.exists():
        return {}
    content = yaml.safe_load(path.read_text())
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise HomeConflictError(
            f"{path} holds a {type(content).__name__}, not a mapping. Mend or remove it."
        )
    return content


def _replace(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Writes the file in one step, so that no process ever reads half of it."""
    if old == new and path.exists():
        return False
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as temporary:
        yaml.safe_dump(dict(new), temporary, sort_keys=False)
    mode = path.stat().st_mode if path.exists() else 0o644
    os.chmod(temporary.name, mode)
    os.replace(temporary.name, path)
    return True
