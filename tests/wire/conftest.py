"""No test reaches a real account."""

from tests.infra.conftest import pytest_configure
from tests.runtime.conftest import account, environment

__all__ = ["account", "environment", "pytest_configure"]
