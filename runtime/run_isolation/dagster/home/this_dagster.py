"""``dagster.yaml`` for the Dagster of this process, which may be older than who said it knew.

A code location may have another version of Dagster than webserver and daemon. What its version does
not know is left out where nothing is lost by it; else the process ends at its start, in a sentence.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

import dagster
from dagster._config import validate_config
from dagster._config.errors import EvaluationError
from dagster._core.instance.config import dagster_instance_config_schema
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator

from run_isolation.default_instance import Config
from run_isolation.errors import InstanceError
from run_isolation.instance import Instance

Path = tuple[str, ...]

RUNS_NEED: Final = (
    "storage",
    "run_storage",
    "event_log_storage",
    "schedule_storage",
    "compute_logs",
    "local_artifact_storage",
    "python_logs",
    "concurrency.pools",
    "concurrency.default_op_concurrency_limit",
    "defs_state_storage",
    "secrets",
)
"""What a process that executes runs or ticks reads. All else is for webserver and daemon."""

EVERYTHING: Final = ("",)
"""What the control plane needs."""

_COORDINATOR: Final = ("run_coordinator", "config")

_USES: Final = {"run_isolation.dagster.postgres": "dagster_postgres"}
"""Packages of others that modules of ours need."""


@dataclass(frozen=True)
class Fitted:
    """What this version of Dagster takes.

    Attributes:
        config: ``dagster.yaml``.
        dropped: Dotted paths of what it does not know.
    """

    config: Config
    dropped: tuple[str, ...] = ()

    def told(self) -> list[str]:
        """A sentence for each key that is left out."""
        return [
            f"Dagster {dagster.__version__} does not know {path}, which is left out here."
            for path in self.dropped
        ]


def fit(instance: Instance, needs: tuple[str, ...]) -> Fitted:
    """``dagster.yaml`` of an instance, without what this version of Dagster does not know.

    Args:
        instance: The deployment's.
        needs: Dotted paths that nothing may be left out below.

    Raises:
        InstanceError: Something needed is not known or not sound, or its package is not installed.
    """
    config = copy.deepcopy(instance.dagster_yaml)
    dropped: list[str] = []
    while errors := _errors(config):
        # What is in a list can't be left out alone, so it is not taken.
        unknown = [path for one in errors for path in _unknown(one) if _has(config, path)]
        lost = [dotted for path in unknown for dotted in _needed(config, path, needs)]
        if lost or not unknown:
            raise _not_taken(instance, lost, errors)
        for path in unknown:
            _remove(config, path)
            dropped.append(".".join(path))
    for key in ("storage", "compute_logs"):
        _check_installed(instance, key)
    return Fitted(config, tuple(dropped))


def _errors(config: Config) -> list[EvaluationError]:
    """What Dagster's own schema has against it."""
    found = list(validate_config(dagster_instance_config_schema(), config).errors or ())
    queue = _at(config, _COORDINATOR)
    if not found and queue:
        # Permissive there; each run reads it for the limits of pools.
        checked = validate_config(QueuedRunCoordinator.config_type(), queue)
        found = [_below(error) for error in checked.errors or ()]
    return found


class _Below:
    """An error about the coordinator's config, as one about ``dagster.yaml``."""

    def __init__(self, error: EvaluationError) -> None:
        self.stack = self
        self.levels = [*_COORDINATOR, *error.stack.levels]
        self.error_data = error.error_data
        self.message = error.message


def _below(error: EvaluationError) -> Any:
    return _Below(error)


def _unknown(error: EvaluationError) -> list[Path]:
    """Paths of keys that are not known; none where the error is about something else."""
    data: Any = error.error_data
    if hasattr(data, "field_snap") or hasattr(data, "field_snaps"):
        return []  # missing
    names = getattr(data, "field_names", None) or [getattr(data, "field_name", None)]
    return [(*error.stack.levels, name) for name in names if name is not None]


def _needed(config: Config, path: Path, needs: tuple[str, ...]) -> Iterator[str]:
    """What would be lost with a path, dotted."""
    for leaf in _leaves(_at(config, path), path):
        dotted = ".".join(leaf)
        if any(not need or f"{dotted}.".startswith(f"{need}.") for need in needs):
            yield dotted


def _leaves(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    else:
        yield path


def _at(config: Config, path: Path) -> Any:
    value: Any = config
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _has(config: Config, path: Path) -> bool:
    holder = _at(config, path[:-1])
    return isinstance(holder, Mapping) and path[-1] in holder


def _remove(config: Config, path: Path) -> None:
    _at(config, path[:-1]).pop(path[-1], None)


def _not_taken(instance: Instance, lost: list[str], errors: list[EvaluationError]) -> InstanceError:
    if lost:
        problem = f"Dagster {dagster.__version__}, which is here, does not know {', '.join(lost)}."
        mend = "Update Dagster here, or say it otherwise in the stack's config and run `pulumi up`."
    else:
        problem = f"Dagster {dagster.__version__}, which is here, does not take it: "
        problem += f"{errors[0].message}"
        mend = "Mend `instance` or `deploymentSettings` in the stack's config and run `pulumi up`."
    return InstanceError(instance.version, problem=problem, mend=mend)


def _check_installed(instance: Instance, key: str) -> None:
    """Only the outermost package is looked for: to look further is to import it."""
    said = instance.dagster_yaml.get(key) or {}
    module = (said.get("custom") or said).get("module")
    if "postgres" in said or "mysql" in said:
        module = f"dagster_{'postgres' if 'postgres' in said else 'mysql'}"
    if not isinstance(module, str):
        return
    package = _USES.get(module, module).partition(".")[0]
    if find_spec(package) is None:
        raise InstanceError(
            instance.version,
            problem=f"{key} needs package {package}, which is not installed here.",
            mend="Install it in the image.",
        )
