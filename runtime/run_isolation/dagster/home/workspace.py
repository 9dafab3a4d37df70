"""``workspace.yaml``: one gRPC server for each code location, beside entries of the user's own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dagster._core.workspace.load import location_origins_from_config

from run_isolation.dagster.home.files import HomeConflictError, Written, read_file, written
from run_isolation.default_instance import Config
from run_isolation.manifest import Manifest

RESOLVER: Final = "RUN_ISOLATION_RESOLVER"
"""Environment variable with ``ip:port`` of a DNS server that knows the deployment's names, where
the machine's own does not. gRPC's name syntax has a place for it:
https://github.com/grpc/grpc/blob/master/doc/naming.md"""

FILE: Final = "workspace.yaml"


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
            for name, location in sorted(manifest.named.items())
        ]
    }


def write_workspace(directory: Path, manifest: Manifest, *, resolver: str | None) -> Written:
    """Writes ``workspace.yaml``, or merges it with what is there.

    Args:
        directory: The Dagster home.
        manifest: The deployment.
        resolver: See ``workspace_config``.

    Raises:
        HomeConflictError: It holds a code location of that name that is not the deployment's.
    """
    path = directory / FILE
    existing = read_file(path)
    merged = merge_workspace(existing, workspace_config(manifest, resolver), manifest, path)
    return written(path, existing, merged, _told_of_names(existing, merged, manifest))


def merge_workspace(existing: Config, wanted: Config, manifest: Manifest, path: Path) -> Config:
    """``workspace.yaml`` with the user's entries, and ours as the manifest has them now.

    Entries whose host belongs to the deployment are ours; those that the manifest no longer has go.

    Raises:
        HomeConflictError: An entry of the user's own has the name of one of the code locations.
    """
    domain = f".{manifest.deployment}.run-isolation.internal"
    others = []
    for entry in existing.get("load_from") or []:
        server = _server(entry)
        if str(server.get("host", "")).endswith(domain):
            continue
        if server.get("location_name") in manifest.named:
            raise HomeConflictError(
                f"{path} already has a code location {server['location_name']!r} at "
                f"{server.get('host')}. Remove that entry, or rename one of the two."
            )
        others.append(entry)
    return existing | {"load_from": others + wanted["load_from"]}


def _told_of_names(existing: Config, merged: Config, manifest: Manifest) -> tuple[str, ...]:
    """Sentences about names that the deployment does not have: Dagster keeps state by them."""
    state = (
        "Dagster keeps the state of schedules and sensors, and their cursors, by that name. If a "
        "code location of the deployment is meant, say `locationName: {name}` there in the stack's "
        "config"
    )
    after = _names(merged)
    gone = [
        f"Code location {name!r} is gone. {state.format(name=name)}."
        for name in sorted(_names(existing) - after)
    ]
    foreign = [
        f"Code location {name!r} is not of this deployment: its runs can't be launched. "
        f"{state.format(name=name)}, and remove the entry."
        for name in sorted(after - manifest.named.keys())
    ]
    return (*gone, *foreign)


def _names(config: Config) -> set[str]:
    """What Dagster calls the code locations of a ``workspace.yaml``."""
    if not config.get("load_from"):
        return set()
    with suppress(Exception):  # Dagster itself will say what is wrong with the user's own entries
        return set(location_origins_from_config(config, FILE))
    return {str(_server(entry).get("location_name")) for entry in config["load_from"]}


def _server(entry: Any) -> dict[str, Any]:
    server = entry.get("grpc_server") if isinstance(entry, dict) else None
    return server if isinstance(server, dict) else {}
