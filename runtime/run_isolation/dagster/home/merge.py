"""``dagster.yaml`` of webserver and daemon: the deployment's instance, and what is the user's own.

What runs and queue are bound by must be the same for every process, so that there the stack's
config alone counts. What was written the last time is kept beside, to tell it from the user's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from run_isolation.dagster.home.files import (
    LAST,
    HomeConflictError,
    Written,
    read_file,
    replace_file,
    written,
)
from run_isolation.dagster.home.this_dagster import EVERYTHING, fit
from run_isolation.dagster.home.workspace import write_workspace
from run_isolation.default_instance import COORDINATOR, LAUNCHER, Config
from run_isolation.instance import Instance
from run_isolation.limit_names import Keys, newest
from run_isolation.manifest import Manifest

_SPLIT_STORAGES: Final = ("run_storage", "event_log_storage", "schedule_storage")
"""Keys that Dagster accepts in place of ``storage``, never beside it
(dagster/_core/instance/config.py)."""

_BY_LEAF: Final = ("run_monitoring", "run_retries")
"""Where the user may say a part, and the rest is ours."""

_RUNS_READ: Final = ("compute_logs", "python_logs", "local_artifact_storage", "defs_state_storage")
"""Where a run has what the stack's config says, whatever webserver and daemon have."""

_OLD_STORAGE: Final = {"postgres": {"postgres_url": {"env": "RUN_ISOLATION_DATABASE_URL"}}}
"""What releases before 0.1.0 have written."""


def write_home(
    directory: Path,
    manifest: Manifest,
    instance: Instance,
    *,
    resolver: str | None = None,
    force: bool = False,
) -> list[Written]:
    """Writes both files, or merges them with what is there. Comments of an existing file are lost.

    What is missing is filled in, and what was written the last time and has not been changed since
    becomes what is to be written now. Other keys of the user's stay, but launcher, storage, queue
    and concurrency have to be the deployment's, and its code locations have to be served by it.

    Args:
        directory: The Dagster home; made if missing.
        manifest: The deployment.
        instance: The version that the manifest names.
        resolver: See ``workspace_config``.
        force: Whether what has to be the deployment's may be replaced.

    Raises:
        HomeConflictError: A file says otherwise what has to be the deployment's, and not ``force``.
        InstanceError: The Dagster that is here can't use the instance.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "dagster.yaml"
    existing = read_file(path)
    wanted = fit(instance, EVERYTHING).config
    last = read_file(directory / LAST)
    merged = merge_instance(
        existing, wanted, last.get("dagster_yaml") or {}, force=force, path=path
    )
    # First what may conflict: either both files are written or none.
    workspace = write_workspace(directory, manifest, resolver=resolver)
    now = {"version": instance.version, "dagster_yaml": wanted}
    if now != last:
        replace_file(directory / LAST, now)
    return [written(path, existing, merged, tuple(_kept(merged, wanted))), workspace]


def merge_instance(
    existing: Config, wanted: Config, last: Config, *, force: bool, path: Path
) -> Config:
    """``dagster.yaml`` with the user's keys and ours.

    Args:
        existing: The file as it is.
        wanted: What it is to say.
        last: What was written the last time; empty where that is not known.
        force: Whether what has to be the deployment's may be replaced.
        path: Of the file.

    Raises:
        HomeConflictError: It says otherwise what has to be the deployment's, and not ``force``.
    """
    if not force:
        _check_launcher(existing, path)
        if found := [*_differences(existing, wanted, last)]:
            raise _differs(path, found)
    ours = {"run_coordinator", "run_launcher", "storage", "concurrency"}
    replaced = {*ours, "run_queue", *_SPLIT_STORAGES}
    merged = {}
    for key in (*existing, *(key for key in wanted if key not in existing)):
        if key not in replaced:
            value = _merged_key(key, existing, wanted, last)
            if value is not None:
                merged[key] = value
        elif key in wanted:
            merged[key] = wanted[key]
    return merged


def _merged_key(key: str, existing: Config, wanted: Config, last: Config) -> Any:
    """The value of a key that the user may say; None where there is none any more."""
    if key not in existing or (key in last and existing[key] == last[key]):
        return wanted.get(key)
    if key not in _BY_LEAF:
        return existing[key]
    said, before = existing[key] or {}, last.get(key) or {}
    own = {leaf: said[leaf] for leaf in said if leaf not in before or said[leaf] != before[leaf]}
    return (wanted.get(key) or {}) | own


def _check_launcher(existing: Config, path: Path) -> None:
    """Refuses another launcher or coordinator.

    Dagster's own QueuedRunCoordinator carries over: our coordinator has the same config.
    """
    coordinator = existing.get("run_coordinator")
    known = ("QueuedRunCoordinator", COORDINATOR["class"])
    if coordinator is not None and (
        not isinstance(coordinator, dict) or coordinator.get("class") not in known
    ):
        raise _foreign(path, "run_coordinator", coordinator)
    launcher = existing.get("run_launcher")
    if launcher is not None and launcher != LAUNCHER:
        raise _foreign(path, "run_launcher", launcher)


def _differences(existing: Config, wanted: Config, last: Config) -> Iterator[str]:
    """What the user's file says otherwise than the deployment, as lines with both values."""
    there = f"in the deployment {_kind(wanted.get('storage'))}"
    for key in _SPLIT_STORAGES:
        if key in existing and existing[key] not in (wanted.get(key), last.get(key)):
            yield f"  {key}: here {_kind(existing[key])}; storage: {there}"
    storage = existing.get("storage")
    known = (None, wanted.get("storage"), last.get("storage"), _OLD_STORAGE)
    if storage not in known:
        # Without values: a password may be among them.
        both = dict(_leaves(wanted.get("storage") or {}))
        differing = [name for name, value in _leaves(storage) if both.get(name) != value]
        yield f"  storage: here {_kind(storage)} ({', '.join(differing)}), {there}"
    wants = {newest(place): value for place, value in _limits(wanted)}
    had = {newest(place): value for place, value in _limits(last)}
    for place, value in _limits(existing):
        name = newest(place)
        is_ours = name in had and had[name] == value
        if not is_ours and (name not in wants or wants[name] != value):
            there = wants.get(name, "nothing")
            yield f"  {'.'.join(place)}: here {value}, in the deployment {there}"


def _limits(config: Config) -> Iterator[tuple[Keys, Any]]:
    """What a file says of queue and concurrency, with its place."""
    coordinator = config.get("run_coordinator") or {}
    queue = config.get("run_queue") or coordinator.get("config") or {}
    for key, said in (("run_queue", queue), ("concurrency", config.get("concurrency") or {})):
        for name, value in _leaves(said, key):
            yield tuple(name.split(".")), value


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and set(value) != {"env"}:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, value


def _kind(storage: Any) -> str:
    """What kind of storage it is."""
    if not isinstance(storage, Mapping):
        return "nothing"
    said = storage.get("custom", storage)
    return f"{said['module']}.{said['class']}" if "class" in said else ", ".join(storage)


def _differs(path: Path, found: list[str]) -> HomeConflictError:
    return HomeConflictError(
        "\n".join(
            [
                f"{path} says otherwise what has to be the same for runs, queue and daemon:",
                *found,
                "To keep what is here, say it in the stack's config (`instance` or "
                "`deploymentSettings`), run `pulumi up`, then this again. To take what the "
                "deployment has, remove it here, or pass --force.",
            ]
        )
    )


def _foreign(path: Path, key: str, value: object) -> HomeConflictError:
    found = value.get("class") if isinstance(value, dict) else value
    return HomeConflictError(
        f"{path} has another {key}: {found}. Runs are isolated by ours only; "
        "pass --force to replace it, or remove the key."
    )


def _kept(merged: Config, wanted: Config) -> Iterator[str]:
    for key in _RUNS_READ:
        if key in merged and merged[key] != wanted.get(key):
            yield (
                f"Kept your {key}: runs have that of the stack's config. Say it there "
                "(instance.dagsterYaml) and remove it here."
            )
