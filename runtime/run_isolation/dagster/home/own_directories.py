"""The instance of a run in this container: the caller's, with directories that are here.

StartRun brings the instance of webserver or daemon, and with it the directories of their disk:
where the default I/O manager keeps outputs, for one. A container has another disk, another user.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClassData

DIRECTORY: Final = "RUN_ISOLATION_OWN_DIRECTORY"
"""Environment variable that tells the processes of runs of the server's own directory."""
_BASE: Final = "base_dir"
"""As LocalArtifactStorage and LocalComputeLogManager call their directory."""


def prepare() -> None:
    """In the server, before there are runs: names a directory that all of them share.

    So a retry finds the outputs of steps that succeeded, as long as the container lives.
    """
    os.environ[DIRECTORY] = str(Path(tempfile.gettempdir()) / "dagster-storage")


def of_this_container(ref: InstanceRef) -> InstanceRef:
    """The same instance where all of its directories can be used here, else with own ones.

    Args:
        ref: The caller's.
    """
    own = os.environ.get(DIRECTORY)
    if own is None:
        return ref  # no server of ours has started this process
    logs = ref.compute_logs_data
    return ref._replace(
        local_artifact_storage_data=_at(ref.local_artifact_storage_data, Path(own)),
        compute_logs_data=logs if logs is None else _at(logs, Path(own) / "compute_logs"),
    )


def _at(data: ConfigurableClassData, own: Path) -> ConfigurableClassData:
    config: dict[str, Any] = dict(data.config_dict)
    given = config.get(_BASE)
    if not isinstance(given, str) or _usable(Path(given)):
        return data
    # JSON is YAML, and written quicker.
    return data._replace(config_yaml=json.dumps({**config, _BASE: str(own)}))


def _usable(directory: Path) -> bool:
    """Whether this process may write there, or make it."""
    # Not Path.exists, which raises where this user may not look.
    there = next(one for one in (directory, *directory.parents) if os.path.exists(one))
    return os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)
