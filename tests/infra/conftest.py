import pytest


def pytest_configure(config: pytest.Config) -> None:
    # The SDK's own, at import: it defines resources that it has deprecated.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:pulumi_aws")
