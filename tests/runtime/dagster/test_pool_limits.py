"""Default limits of pools, while two versions of the instance are in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from run_isolation import Instance, Manifest
from run_isolation.dagster import pool_limits
from run_isolation.dagster.deployment import MANIFEST as MANIFEST_VARIABLE
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.home.files import LAST, replace_file
from run_isolation.default_instance import sqlite
from run_isolation.errors import ManifestError
from run_isolation.instance import VERSION
from tests.runtime.manifests import MANIFEST

POOL = "db"


def with_default(limit: int | None, **more: object) -> Instance:
    pools = {} if limit is None else {"concurrency": {"pools": {"default_limit": limit}}}
    return Instance(dagster_yaml=pools | more)


class Published:
    """A deployment whose newest version is this one."""

    def __init__(self, newest: Instance) -> None:
        self.newest = newest
        self.asked = 0

    @property
    def manifest(self) -> Manifest:
        self.asked += 1
        return MANIFEST.model_copy(update={"instance_version": self.newest.version})

    def instance(self, version: str) -> Instance:
        assert version == self.newest.version
        return self.newest


class Actors:
    """Processes with one storage, each with its own version of the instance."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._monkeypatch = monkeypatch
        self._opened = 0

    @contextmanager
    def opened(self, instance: Instance) -> Iterator[DagsterInstance]:
        home = self._directory / str(self._opened)
        self._opened += 1
        home.mkdir()
        storage = {"storage": sqlite(str(self._directory / "sqlite"))}
        (home / "dagster.yaml").write_text(yaml.safe_dump(instance.dagster_yaml | storage))
        with DagsterInstance.from_config(str(home)) as opened:
            yield opened

    def claims(self, mine: Instance, deployment: Any, *, run_id: str = "run") -> bool:
        """Whether a step of a run with this version gets a slot of the pool; it gives it back."""
        self._monkeypatch.setenv(VERSION, mine.version)
        with ExitStack() as exits:
            instance = exits.enter_context(self.opened(mine))
            exits.enter_context(pool_limits.kept(cast("Deployment", deployment)))
            context = exits.enter_context(InstanceConcurrencyContext(instance, _run(run_id)))
            claimed = context.claim(POOL, "step")
            if claimed:
                context.free_step("step")
            return claimed

    def limits(self) -> dict[str, tuple[int | None, bool]]:
        with self.opened(with_default(None)) as instance:
            return {
                pool.name: (pool.limit, pool.from_default)
                for pool in instance.event_log_storage.get_pool_limits()
            }


def _run(run_id: str) -> Any:
    from dagster import DagsterRun

    return DagsterRun(job_name="job", run_id=run_id)


@pytest.fixture
def actors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Actors:
    monkeypatch.setenv(MANIFEST_VARIABLE, "/run-isolation/test/manifest")
    return Actors(tmp_path, monkeypatch)


def test_who_has_the_newest_version_writes_its_default(actors: Actors) -> None:
    newest = with_default(1)
    deployment = Published(newest)
    assert actors.claims(newest, deployment)
    assert actors.limits() == {POOL: (1, True)}
    deployment.newest = with_default(2)
    assert actors.claims(deployment.newest, deployment)
    assert actors.limits() == {POOL: (2, True)}


@pytest.mark.parametrize("before", [1, None])
def test_who_has_an_older_version_changes_nothing(actors: Actors, before: int | None) -> None:
    newest = with_default(2)
    deployment = Published(newest)
    actors.claims(newest, deployment)
    assert actors.claims(with_default(before), deployment)
    assert actors.limits() == {POOL: (2, True)}


def test_an_older_version_of_the_same_default_limits_a_new_pool(actors: Actors) -> None:
    """Else the first steps in it would be limited by nothing."""
    older = with_default(1, python_logs={"python_log_level": "INFO"})
    assert actors.claims(older, Published(with_default(1)))
    assert actors.limits() == {POOL: (1, True)}


def test_a_limit_that_is_no_longer_wanted_stays_while_a_step_holds_a_slot(
    actors: Actors,
) -> None:
    """Dagster could read no limit at all until the step has ended."""
    with actors.opened(with_default(1)) as holder:
        holder.event_log_storage.initialize_concurrency_limit_to_default(POOL)
        claim = holder.event_log_storage.claim_concurrency_slot(POOL, "other", "step")
        assert claim.is_claimed
        without = with_default(None)
        assert not actors.claims(without, Published(without))
        assert actors.limits() == {POOL: (1, True)}
        holder.event_log_storage.free_concurrency_slots_for_run("other")
    assert actors.claims(without, Published(without))
    assert actors.limits() == {}


def test_a_home_that_is_written_anew_makes_no_daemon_newer(
    actors: Actors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dagster-home` was run, and the daemon is not restarted yet."""
    older, newest = with_default(1), with_default(2)
    deployment = cast("Deployment", Published(newest))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    replace_file(tmp_path / LAST, {"version": older.version})
    with actors.opened(older) as instance, pool_limits.kept(deployment):
        replace_file(tmp_path / LAST, {"version": newest.version})
        instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    assert actors.limits() == {}


def test_a_deployment_that_can_not_be_asked_changes_nothing(
    actors: Actors, caplog: pytest.LogCaptureFixture
) -> None:
    class Silent:
        @property
        def manifest(self) -> Manifest:
            raise ManifestError("/p", "it can't be read.", "Check it.")

    actors.claims(with_default(1), Silent())
    assert actors.limits() == {}
    assert "The limits of pools stay as they are. Manifest /p" in caplog.text


def test_nobody_is_asked_where_nothing_is_to_be_changed(actors: Actors) -> None:
    newest = with_default(1)
    deployment = Published(newest)
    actors.claims(newest, deployment)
    asked = deployment.asked
    actors.claims(newest, deployment)
    assert deployment.asked == asked
