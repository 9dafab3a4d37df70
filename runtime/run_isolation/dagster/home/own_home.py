"""The Dagster home of a task: the deployment's instance, in directories of this container.

No file of the image's is read for it, and no instance that a caller sends: all runs and ticks of a
deployment have the same one (docs/decisions/33-one-instance.md).
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.home.files import replace_file
from run_isolation.dagster.home.this_dagster import RUNS_NEED, fit
from run_isolation.default_instance import Config, container_storage
from run_isolation.errors import InstanceError, TableError
from run_isolation.instance import OWN_VERSION, VERSION, Instance

READ_SECONDS: Final = 60
"""How long a task tries to read its instance while the table does not answer."""

HOME: Final = "DAGSTER_HOME"

_TASK_DEFAULTS: Final[Config] = {"telemetry": {"enabled": False}}
"""Dagster would take each task's new home for another installation, and report it."""

_STAGED: Final = "local_dir"
"""Where managers of compute logs on S3, GCS and Azure have them until they are copied."""

_log: Final = logging.getLogger(__name__)


def load(deployment: Deployment) -> Instance:
    """The version that the environment names, with its variables.

    The newest where that one can't be used; that of the task definition where the newest names
    variables that only newer task definitions have.

    Raises:
        TableError: The table does not answer.
        InstanceError: There is none that can be used.
        ManifestError: The environment's can't be used, and the newest is not known.
    """
    instance = _read(deployment, os.environ.get(VERSION))
    missing = instance.variables - {*os.environ, *instance.env}
    own = os.environ.get(OWN_VERSION)
    if missing and own:
        _log.warning(
            "Version %s of the deployment's Dagster instance needs %s, which this task's "
            "definition, of version %s, does not have: that one is used here.",
            *(instance.version, ", ".join(sorted(missing)), own),
        )
        instance = _read(deployment, own)
    _take_on_variables(deployment, instance, own)
    return instance


def _take_on_variables(deployment: Deployment, instance: Instance, own: str | None) -> None:
    """Sets `instance.env`, but for what the code location itself says.

    Args:
        deployment: The deployment.
        instance: The version that is used.
        own: The task definition's, where that is an older one: what ECS has set is its.
    """
    differing = {
        name: value for name, value in instance.env.items() if os.environ.get(name, value) != value
    }
    older = _read(deployment, own).env if own and differing else {}
    for name, value in instance.env.items():
        if name not in differing or os.environ[name] == older.get(name):
            os.environ[name] = value


@retry(
    retry=retry_if_exception_type(TableError),
    stop=stop_after_delay(READ_SECONDS),
    wait=wait_random_exponential(max=10),
    reraise=True,
)
def _read(deployment: Deployment, version: str | None) -> Instance:
    if not version:
        return deployment.newest_instance()
    try:
        return deployment.instance(version)
    except InstanceError as error:
        if deployment.manifest.instance_version in ("", version):
            raise
        newest = deployment.newest_instance()
        _log.warning("%s The newest, %s, is used here.", error, newest.version)
        return newest


@contextmanager
def opened(deployment: Deployment) -> Iterator[Path]:
    """Makes a Dagster home for this process and those that it starts, until the block ends.

    The environment names it, and the version that is used.

    Yields:
        The home.

    Raises:
        TableError: The table does not answer.
        InstanceError: There is no instance that can be used.
        ManifestError: The environment's can't be used, and the newest is not known.
    """
    instance = load(deployment)
    _tell_of_the_images()
    with tempfile.TemporaryDirectory(prefix="dagster-home-", ignore_cleanup_errors=True) as home:
        write(Path(home), instance)
        os.environ[HOME] = home
        os.environ[VERSION] = instance.version
        yield Path(home)


def write(home: Path, instance: Instance) -> None:
    """Writes ``dagster.yaml`` of a task.

    Raises:
        InstanceError: The Dagster that is here can't use it.
    """
    fitted = fit(instance, RUNS_NEED)
    for line in fitted.told():
        _log.warning("%s", line)
    config = _TASK_DEFAULTS | fitted.config
    # Whoever stores a failure with run retries on also decides whether it is retried. It is left to
    # the daemon, whose dagster.yaml says how often.
    config.pop("run_retries", None)
    if _is_elsewhere(config.get("compute_logs")):
        del config["compute_logs"]  # Dagster's default is a directory below the home
    if _is_elsewhere(config.get("compute_logs"), _STAGED):
        del config["compute_logs"]["config"][_STAGED]  # the default is the system's own for it
    artifacts = config.get("local_artifact_storage")
    if artifacts is None or _is_elsewhere(artifacts):
        config["local_artifact_storage"] = container_storage(str(home))
    replace_file(home / "dagster.yaml", config)


def _tell_of_the_images() -> None:
    given = os.environ.get(HOME)
    if given and os.path.exists(Path(given) / "dagster.yaml"):
        _log.warning(
            "%s/dagster.yaml of the image is not used: every process of the deployment has the "
            "instance of the stack's config (instance.dagsterYaml).",
            given,
        )


def _is_elsewhere(said: Any, key: str = "base_dir") -> bool:
    """Whether it names a directory that this container has not."""
    base = ((said or {}).get("config") or {}).get(key)
    return isinstance(base, str) and not _usable(Path(base))


def _usable(directory: Path) -> bool:
    """Whether this process may write there, or make it."""
    # Not Path.exists, which raises where this user may not look.
    there = next(one for one in (directory, *directory.parents) if os.path.exists(one))
    return os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)
