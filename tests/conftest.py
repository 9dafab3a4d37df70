"""Keeps apart what can't share a process, and together what should."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.tiers import in_no_tier
from tools.environments import ensure_environment

TESTS: Final = Path(__file__).parent
APART: Final = {"e2e", "browser"}
"""Directories of tests whose tasks are always kept apart, in the environment of their image."""


def pytest_configure(config: pytest.Config) -> None:
    """Files of one directory together: named apart, pytest 9 loses its conftest for the later."""
    config.args = sorted(config.args)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that use the local account, and groups tests for `--dist loadgroup`.

    moto's state is the process's: `mock_aws` in another test would empty the account. `make unit`
    runs the two sets one after the other.

    A file is a group, and so are all tests that share the browser and its deployment. Files with a
    deployment of their own take longest and come first, so that no worker ends long after others.

    Raises:
        pytest.fail.Exception: No tier of the Makefile would run a test.
    """
    for item in items:
        if "local_account_session" in getattr(item, "fixturenames", ()):
            item.add_marker("account")
        if item.get_closest_marker("xdist_group") is None:
            group = "browser" if item.get_closest_marker("browser") else item.location[0]
            item.add_marker(pytest.mark.xdist_group(group))
    long = {item.path for item in items if "session_stack" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path not in long)
    if lost := [item.nodeid for item in items if _is_in_no_tier(item)]:
        pytest.fail(
            f"These are part of no tier of the Makefile (see tests/tiers.py): {', '.join(lost)}"
        )


def _is_in_no_tier(item: pytest.Item) -> bool:
    return in_no_tier(str(item.path.relative_to(TESTS)), {one.name for one in item.iter_markers()})


def pytest_collection_finish() -> None:
    """What Hypothesis draws depends on the seed alone.

    By itself it takes constants out of all modules of ours that are loaded, so that a change
    anywhere, or another test before it, makes it draw something else.
    """
    providers = sys.modules.get("hypothesis.internal.conjecture.providers")
    if providers is not None:
        nothing = providers.Constants()
        # Fails where this version of Hypothesis has no such function.
        pytest.MonkeyPatch().setattr(providers, "_get_local_constants", lambda: nothing)


@pytest.fixture(scope="session")
def local_account_options(
    request: pytest.FixtureRequest, local_account_options: dict[str, Any]
) -> dict[str, Any]:
    """Tasks of `APART` in sandboxes; those of all other tests are processes of this environment."""
    on_account = [one for one in request.session.items if one.get_closest_marker("account")]
    kinds = {Path(one.location[0]).parts[1] in APART for one in on_account}
    if len(kinds) == 2:
        pytest.fail(f"Run tests/{' and tests/'.join(sorted(APART))} by themselves, as make does.")
    if kinds == {True}:
        apart = {"apart": True, "python": ensure_environment("code-location")}
        return local_account_options | apart
    return local_account_options


@pytest.fixture
def background_job() -> Iterator[None]:
    """What is started ignores SIGINT, as what a shell starts in the background does."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)
