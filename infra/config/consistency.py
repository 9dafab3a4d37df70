"""What no single key can tell: keys that say two things, and names that a task would not know."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from infra.config.fields import BUILT_IN_ENV
from infra.config.models import Config
from infra.config.problems import NAMESPACE, Problem
from infra.config.yaml_file import KEY, named
from run_isolation.default_instance import S3_LOGS
from run_isolation.limit_names import Keys, newest
from run_isolation.variables import references

_SETTINGS: Final = "deploymentSettings"


def problems(config: Config) -> list[Problem]:
    """All of it."""
    return [
        *_contradictions(config),
        *_unknown_names(config),
        *_hidden_bucket(config),
        *_same_names(config),
    ]


def _contradictions(config: Config) -> Iterator[Problem]:
    """The same thing, said differently in two places."""
    sources = [
        (".".join(KEY), config.instance.dagster_yaml or {}),
        (_SETTINGS, config.deployment_settings.dagster_yaml),
    ]
    said: dict[Keys, tuple[str, Any]] = {}
    for source, content in sources:
        for path, value in _leaves(content, ()):
            key = f"{NAMESPACE}:{source}.{'.'.join(map(str, path))}"
            before, other = said.setdefault(newest(path), (key, value))
            if other != value:
                allowed = f"what {before} says, or only one of the two keys"
                yield Problem(key, str(value), allowed, str(other))


def _leaves(content: dict[str, Any], path: Keys) -> Iterator[tuple[Keys, Any]]:
    """Every value that is no mapping, with its place."""
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, key))
        elif value is not None:
            yield (*path, key), value


def _unknown_names(config: Config) -> Iterator[Problem]:
    """Environment variables that some actor would not have.

    Those of code locations are their tasks' alone: webserver and daemon open the instance, too.
    """
    instance = config.instance
    everywhere = {*instance.env, *instance.secrets, *BUILT_IN_ENV, "AWS_REGION"}
    for path, name in references(instance.dagster_yaml or {}):
        if name not in everywhere:
            lacking = ["webserver", "daemon"]
            lacking += [
                f"tasks of {location}"
                for location, one in sorted(config.code_locations.items())
                if name not in {*one.env, *one.secrets}
            ]
            yield Problem(
                named(path),
                f"{{env: {name}}}",
                f"a name in instance.env or instance.secrets, which every actor gets (a location's "
                f"own value goes before it): {', '.join(lacking)} would have no {name}",
                f"instance.secrets.{name}",
            )


def _hidden_bucket(config: Config) -> Iterator[Problem]:
    """A bucket of compute logs whose name nobody knows here: it would be written to by nobody."""
    logs = (config.instance.dagster_yaml or {}).get("compute_logs", {})
    place = ("compute_logs", "config", "bucket")
    for path, name in references(logs.get("config", {}), place[:2]):
        if path == place and logs["class"] == S3_LOGS and name in config.instance.secrets:
            yield Problem(
                named(path),
                f"{{env: {name}}}",
                "the name of a bucket, or {env: NAME} with NAME in instance.env: the rights to it "
                "that everybody gets are by name, which a secret does not tell",
                f"instance.env.{name}",
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
