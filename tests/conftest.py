"""Keeps apart what can't share a process."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that use the local account.

    moto's state is the process's: `mock_aws` in another test would empty the account. `make unit`
    runs the two sets one after the other.
    """
    for item in items:
        if "local_account_session" in getattr(item, "fixturenames", ()):
            item.add_marker("account")
