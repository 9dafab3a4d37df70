"""How old a manifest may be that a running webserver or daemon launches by."""

from __future__ import annotations

import time
from unittest.mock import Mock

import pytest

from run_isolation import ManifestError, Network
from run_isolation.dagster import deployment
from run_isolation.dagster.deployment import FRESH_SECONDS, Deployment
from tests.runtime.manifests import MANIFEST

MOVED = MANIFEST.model_copy(
    update={"network": Network(subnets=["subnet-9"], security_groups=["sg-9"])}
)
GROWN = MANIFEST.model_copy(update={"locations": {"new": MANIFEST.locations["sales"]}})
UNREADABLE = ManifestError("/run-isolation/test/manifest", problem="is gone.", mend="Bring it.")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Seconds; set `return_value` to let time pass."""
    now = Mock(return_value=1000.0)
    monkeypatch.setattr(time, "monotonic", now)
    return now


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Mock:
    loading = Mock(side_effect=[MANIFEST, MOVED])
    monkeypatch.setattr(deployment, "load_manifest", loading)
    return loading


def test_making_one_reads_nothing(load: Mock) -> None:
    Deployment()
    load.assert_not_called()


def test_a_change_is_seen_after_a_while(clock: Mock, load: Mock) -> None:
    made = Deployment()
    assert [made.manifest, made.manifest] == [MANIFEST, MANIFEST]
    clock.return_value += FRESH_SECONDS - 1
    assert made.manifest is MANIFEST
    clock.return_value += 1
    assert [made.manifest, made.manifest] == [MOVED, MOVED]


def test_the_last_one_counts_while_it_can_not_be_read(
    clock: Mock, load: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    load.side_effect = [MANIFEST, UNREADABLE, MOVED]
    made = Deployment()
    assert made.manifest is MANIFEST
    clock.return_value += FRESH_SECONDS
    assert [made.manifest, made.manifest] == [MANIFEST, MANIFEST]
    assert "is gone" in caplog.text
    clock.return_value += FRESH_SECONDS
    assert made.manifest is MOVED


def test_one_that_was_never_read_is_an_error_each_time(load: Mock) -> None:
    load.side_effect = [UNREADABLE, UNREADABLE, MANIFEST]
    made = Deployment()
    for _ in range(2):
        with pytest.raises(ManifestError):
            _ = made.manifest
    assert made.manifest is MANIFEST


def test_an_unknown_location_is_looked_for_at_once(clock: Mock, load: Mock) -> None:
    load.side_effect = [MANIFEST, GROWN, GROWN]
    made = Deployment()
    assert made.location("sales") == MANIFEST.locations["sales"]
    assert made.location("new") == GROWN.locations["new"]
    with pytest.raises(ManifestError):
        made.location("nowhere")
