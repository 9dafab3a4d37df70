"""Limits of pools are changed by whoever knows the newest ``concurrency``, and by nobody else.

Dagster writes ``concurrency.pools.default_limit`` of whatever process looks at a pool into the
storage that all processes share: each run in which a step claims a slot, and the daemon. After a
change of the instance two versions are in use for a while.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from run_isolation.dagster.deployment import MANIFEST, Deployment
from run_isolation.dagster.home.files import version_of
from run_isolation.dagster.patching import SeamError, replaced
from run_isolation.errors import RunIsolationError
from run_isolation.instance import VERSION

_NAME: Final = "initialize_concurrency_limit_to_default"

_log: Final = logging.getLogger(__name__)


@contextmanager
def kept(deployment: Deployment) -> Iterator[None]:
    """Has this process change limits only where its default is that of the newest version.

    Costs nothing until Dagster is about to change one.
    """
    with ExitStack() as seams:
        if MANIFEST in os.environ:
            change: Any = getattr(SqlEventLogStorage, _NAME, None)
            ours = _only_if_newest(deployment, _version(), change)
            with suppress(SeamError):  # a version that has no default limits of pools
                seams.enter_context(replaced(SqlEventLogStorage, _NAME, ours))
        yield


def _version() -> str | None:
    """The version that this process uses: not one that its home is written from while it runs."""
    home = os.environ.get("DAGSTER_HOME")
    return os.environ.get(VERSION) or (version_of(Path(home)) if home else None)


def _only_if_newest(
    deployment: Deployment, version: str | None, change: Any
) -> Callable[[Any, str], bool]:
    def initialize(storage: Any, concurrency_key: str) -> bool:
        if not storage.has_instance:
            return False
        default = storage._instance.global_op_concurrency_default_limit
        if not _is_newest(deployment, version, default):
            return False
        if default is None and _in_use(storage, concurrency_key):
            # Dagster, 1.13.27, can't read any limit between the deletion of the last one and the
            # end of the last step that holds a slot (sql_event_log.py,
            # _reconcile_concurrency_limits_from_slots). It comes here again.
            return False
        return bool(change(storage, concurrency_key))

    return initialize


def _is_newest(deployment: Deployment, version: str | None, default: int | None) -> bool:
    try:
        newest = deployment.manifest.instance_version
        if version == newest:
            return True
        return _default_limit(deployment.instance(newest).dagster_yaml) == default
    except RunIsolationError as error:
        _log.warning("The limits of pools stay as they are. %s", error)
        return False


def _default_limit(config: Mapping[str, Any]) -> int | None:
    """As Dagster's ``global_op_concurrency_default_limit`` has it."""
    concurrency = config.get("concurrency") or {}
    limit = (concurrency.get("pools") or {}).get("default_limit")
    return concurrency.get("default_op_concurrency_limit") if limit is None else limit


def _in_use(storage: Any, concurrency_key: str) -> bool:
    return bool(storage.get_concurrency_info(concurrency_key).active_slot_count)
