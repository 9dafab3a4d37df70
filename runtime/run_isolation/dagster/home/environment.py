"""What webserver and daemon have in their environment, as tasks have it: of the deployment.

``{env: X}`` in ``dagster.yaml`` is looked up wherever the instance is opened. ECS gives tasks these
variables; here they are read, before Dagster is imported.
"""

from __future__ import annotations

import logging
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.home.files import version_of
from run_isolation.errors import RunIsolationError
from run_isolation.instance import Instance
from run_isolation.secret_value import Secret
from run_isolation.tick_timeouts import allow_long_ticks

_log: Final = logging.getLogger(__name__)


def take_on(environment: MutableMapping[str, str] = os.environ) -> None:
    """Adds what the deployment's instance says and the environment does not.

    Where it can't be read, the process goes on without, and the log says so. Call it before Dagster
    is imported: it reads how long ticks may take then.
    """
    deployment = Deployment()
    instance = Instance(dagster_yaml={})
    try:
        instance = deployment.newest_instance()
    except RunIsolationError as error:
        _log.warning("What the deployment has in `instance.env` is not here. %s", error)
    else:
        tell_of_version(instance.version, environment.get("DAGSTER_HOME"))
    for name, value in instance.env.items():
        environment.setdefault(name, value)
    for name, reference in instance.secrets.items():
        if name not in environment:
            _read_secret(environment, name, reference)
    allow_long_ticks(
        instance.sensor_timeout_seconds, instance.schedule_timeout_seconds, environment
    )


def tell_of_version(newest: str, home: str | None) -> None:
    """Logs a line where a Dagster home was not written from the newest version."""
    written = version_of(Path(home)) if home else None
    if written is not None and written != newest:
        _log.warning(
            "The newest version of the deployment's Dagster instance is %s; %s was written from "
            "%s. Run `run-isolation dagster-home` and restart this process.",
            newest,
            home,
            written,
        )


def _read_secret(environment: MutableMapping[str, str], name: str, reference: str) -> None:
    try:
        environment[name] = Secret.of(reference).value()
    except RunIsolationError as error:
        _log.warning("%s of `instance.secrets` is not here. %s", name, error)
