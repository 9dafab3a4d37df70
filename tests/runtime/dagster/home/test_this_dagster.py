"""`dagster.yaml` for a Dagster that does not know all of it."""

from __future__ import annotations

from typing import Any

import pytest

from run_isolation import Instance
from run_isolation.dagster.home.this_dagster import EVERYTHING, RUNS_NEED, fit
from run_isolation.default_instance import COORDINATOR
from run_isolation.errors import InstanceError

KNOWN = {
    "python_logs": {"managed_python_loggers": ["mine"]},
    "run_coordinator": {**COORDINATOR, "config": {"max_concurrent_runs": {"env": "MOST"}}},
    "retention": {"sensor": {"purge_after_days": {"skipped": 7}}},
}


def test_what_is_known_stays_as_it_is() -> None:
    for needs in (RUNS_NEED, EVERYTHING):
        fitted = fit(Instance(dagster_yaml=KNOWN), needs)
        assert (fitted.config, fitted.dropped) == (KNOWN, ())


@pytest.mark.parametrize(
    ("unknown", "path"),
    [
        ({"weather": {"enabled": True}}, "weather"),
        ({"sensors": {"use_threads": True, "colour": 1}}, "sensors.colour"),
        ({"concurrency": {"runs": {"most": 1}}}, "concurrency.runs.most"),
        ({"run_coordinator": {**COORDINATOR, "config": {"new": 1}}}, "run_coordinator.config.new"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_only_the_daemon_would_know_is_left_out_of_a_task(
    unknown: dict[str, Any], path: str
) -> None:
    instance = Instance(dagster_yaml=KNOWN | unknown)
    fitted = fit(instance, RUNS_NEED)
    assert fitted.dropped == (path,)
    assert fit(Instance(dagster_yaml=fitted.config), EVERYTHING).dropped == ()
    assert [path in line for line in fitted.told()] == [True]
    assert instance.dagster_yaml == KNOWN | unknown
    with pytest.raises(InstanceError, match=f"does not know {path}"):
        fit(instance, EVERYTHING)


@pytest.mark.parametrize(
    ("unknown", "path"),
    [
        ({"python_logs": {"colour": "blue"}}, r"python_logs\.colour"),
        ({"concurrency": {"pools": {"shape": "round"}}}, r"concurrency\.pools\.shape"),
        ({"storage": {"oracle": {"url": "x"}}}, r"storage\.oracle\.url"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_run_needs_is_refused_in_a_sentence(unknown: dict[str, Any], path: str) -> None:
    instance = Instance(dagster_yaml=KNOWN | unknown)
    with pytest.raises(InstanceError, match=f"version {instance.version}: .*does not know {path}"):
        fit(instance, RUNS_NEED)


def test_what_is_unknown_in_a_list_is_refused_in_dagsters_words() -> None:
    queue = {"tag_concurrency_limits": [{"key": "a", "limit": 1, "colour": "blue"}]}
    config = {"run_coordinator": COORDINATOR | {"config": queue}}
    with pytest.raises(InstanceError, match="colour"):
        fit(Instance(dagster_yaml=config), RUNS_NEED)


def test_what_is_known_and_wrong_is_refused_in_dagsters_words() -> None:
    with pytest.raises(InstanceError, match=r"does not take it: .*run_monitoring:enabled"):
        fit(Instance(dagster_yaml={"run_monitoring": {"enabled": "yes"}}), RUNS_NEED)


@pytest.mark.parametrize(
    ("said", "package"),
    [
        ({"compute_logs": {"module": "my_logs.s3", "class": "Mine", "config": {}}}, "my_logs"),
        (
            {"storage": {"custom": {"module": "my_store", "class": "Mine", "config": {}}}},
            "my_store",
        ),
        ({"storage": {"mysql": {"mysql_url": "mysql://"}}}, "dagster_mysql"),
    ],
)
def test_a_package_that_is_not_installed_is_named(said: dict[str, Any], package: str) -> None:
    with pytest.raises(InstanceError, match=f"needs package {package}, which is not installed"):
        fit(Instance(dagster_yaml=said), RUNS_NEED)
