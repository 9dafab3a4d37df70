"""Keeps apart what can't share a process, and together what should."""

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that use the local account, and groups tests for `--dist loadgroup`.

    moto's state is the process's: `mock_aws` in another test would empty the account. `make unit`
    runs the two sets one after the other.

    A file is a group, and so are all tests that share the browser and its deployment.
    """
    for item in items:
        if "local_account_session" in getattr(item, "fixturenames", ()):
            item.add_marker("account")
        if item.get_closest_marker("xdist_group") is None:
            group = "browser" if item.get_closest_marker("browser") else item.location[0]
            item.add_marker(pytest.mark.xdist_group(group))
