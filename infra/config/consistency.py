"""What no single key can tell: keys that say two things, and names that a task would not know."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from infra.config.fields import BUILT_IN_ENV
from infra.config.models import Config
from infra.config.problems import NAMESPACE, Problem
from infra.config.yaml_file import KEY, named
from run_isolation.instance import Place, references

_SETTINGS: Final = "deploymentSettings"
_SPELLINGS: Final[dict[Place, Place]] = {
    ("run_queue", "max_concurrent_runs"): ("concurrency", "runs", "max_concurrent_runs"),
    ("run_queue", "tag_concurrency_limits"): ("concurrency", "runs", "tag_concurrency_limits"),
    ("run_queue", "block_op_concurrency_limited_runs", "op_concurrency_slot_buffer"): (
        *("concurrency", "pools", "op_granularity_run_buffer"),
    ),
    ("concurrency", "default_op_concurrency_limit"): ("concurrency", "pools", "default_limit"),
}
"""Older names of the same (``ConcurrencyConfig.from_concurrency_settings``,
dagster/_core/instance/config.py)."""


def problems(config: Config) -> list[Problem]:
    """All of it."""
    return [*_contradictions(config), *_unknown_names(config), *_same_names(config)]


def _contradictions(config: Config) -> Iterator[Problem]:
    """The same thing, said differently in two places."""
    sources = [
        (".".join(KEY), config.instance.dagster_yaml or {}),
        (_SETTINGS, config.deployment_settings.dagster_yaml),
    ]
    said: dict[Place, tuple[str, Any]] = {}
    for source, content in sources:
        for path, value in _leaves(content, ()):
            key = f"{NAMESPACE}:{source}.{'.'.join(map(str, path))}"
            before, other = said.setdefault(_canonical(path), (key, value))
            if other != value:
                allowed = f"what {before} says, or only one of the two keys"
                yield Problem(key, str(value), allowed, str(other))


def _leaves(content: dict[str, Any], path: Place) -> Iterator[tuple[Place, Any]]:
    """Every value that is no mapping, with its place."""
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, key))
        elif value is not None:
            yield (*path, key), value


def _canonical(path: Place) -> Place:
    """The place under the newest name."""
    if path[:2] == ("run_coordinator", "config"):
        path = ("run_queue", *path[2:])
    return _SPELLINGS.get(path, path)


def _unknown_names(config: Config) -> Iterator[Problem]:
    """Environment variables that the tasks of some code location would not have."""
    instance = config.instance
    everywhere = {*instance.env, *instance.secrets, *BUILT_IN_ENV, "AWS_REGION"}
    for path, name in references(instance.dagster_yaml or {}):
        missing = [
            location
            for location, one in sorted(config.code_locations.items())
            if name not in {*everywhere, *one.env, *one.secrets}
        ]
        if missing:
            yield Problem(
                named(path),
                f"{{env: {name}}}",
                f"a name in instance.env or instance.secrets, which every actor gets: tasks of "
                f"{', '.join(missing)} would have no {name}",
                f"instance.secrets.{name}",
            )


def _same_names(config: Config) -> Iterator[Problem]:
    """Two code locations that Dagster would call the same."""
    names = {key: one.location_name or key for key, one in config.code_locations.items()}
    for name, count in Counter(names.values()).items():
        same = sorted(key for key, one in names.items() if one == name)
        for key in same if count > 1 else ():
            if config.code_locations[key].location_name is not None:
                yield Problem(
                    f"{NAMESPACE}:codeLocations.{key}.locationName",
                    name,
                    f"a name of its own: {' and '.join(same)} have the same",
                )
