"""What libraries read again for each object that is made is read once in a process and its forks.

Each AWS client of ours has a session of its own, and each session of botocore reads the models of
its services: 0.25 CPU seconds for DynamoDB, SSM and ECS. Each Dagster instance has Alembic read 88
scripts for each of its three storages: 0.1 CPU seconds. Nearly every test makes some of both.
Neither is changed once it is read: the clients of one session share it, too.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import botocore.session


def share() -> None:
    """From now on, in this process."""
    share_models()
    share_scripts()


def share_models() -> None:
    """Of AWS's services, by all sessions of botocore."""
    create = botocore.session.create_loader
    botocore.session.create_loader = functools.cache(getattr(create, "__wrapped__", create))


def share_scripts() -> None:
    """Of a storage's schema, by all instances."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    directories: dict[str | None, ScriptDirectory] = {}
    from_config = ScriptDirectory.from_config
    patched: Any = ScriptDirectory

    def once(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in directories:
            directories[place] = from_config(config)
        return directories[place]

    patched.from_config = once


def pytest_configure() -> None:
    """As a plugin of pytest."""
    share_models()


def pytest_collection_finish() -> None:
    """Alembic takes a second to import: only tests of Dagster pay for it."""
    if "dagster" in sys.modules:
        share_scripts()
