"""AWS clients of one process share what botocore has read of its models.

Each client of ours has a session of its own, and each session reads the models of its services
again: 0.25 CPU seconds for those of DynamoDB, SSM and ECS, in every test that makes them. What is
read is never changed, as the clients of one session share it, too.
"""

from __future__ import annotations

import functools

import botocore.session


def share() -> None:
    """From now on, in this process and in its forks."""
    create = botocore.session.create_loader
    if not hasattr(create, "cache_info"):
        botocore.session.create_loader = functools.cache(create)


def pytest_configure() -> None:
    """As a plugin of pytest."""
    share()
