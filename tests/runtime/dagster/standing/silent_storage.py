"""A storage that does not answer for a while: as Postgres behind a network that drops packets."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import StringSource
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData


class SilentStorage(DagsterSqliteStorage):
    """SQLite, which nobody can open while a file is there."""

    @classmethod
    def config_type(cls) -> Any:
        return {"base_dir": StringSource, "silent_while": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> SilentStorage:
        while Path(config_value["silent_while"]).exists():
            time.sleep(0.02)
        return cls(config_value["base_dir"], inst_data=inst_data)
