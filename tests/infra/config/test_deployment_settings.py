"""The settings of Dagster+, pasted."""

from typing import Any

import pytest

from infra.config.deployment_settings import DeploymentSettings
from tests.infra.config.refusals import accepted, problem, problems
from tests.infra.program import changed

DOCUMENTED: dict[str, Any] = {
    "concurrency": {
        "pools": {"granularity": "run", "default_limit": 1},
        "runs": {
            "max_concurrent_runs": 10,
            "tag_concurrency_limits": [
                {"key": "database", "value": "redshift", "limit": 5},
                {"key": "user", "value": {"applyLimitPerUniqueValue": True}, "limit": 2},
                {"key": "dagster/backfill", "limit": 10},
            ],
        },
    },
    "run_monitoring": {
        "start_timeout_seconds": 1200,
        "cancel_timeout_seconds": 1200,
        "max_runtime_seconds": 7200,
        "free_slots_after_run_end_seconds": 300,
    },
    "run_retries": {"max_retries": 0, "retry_on_asset_or_op_failure": True},
    "non_isolated_runs": {"enabled": True, "max_concurrent_non_isolated_runs": 1},
}
"""The reference's example, with the other keys that it documents."""

DUMPED: dict[str, Any] = {
    "concurrency": {},
    "run_queue": {"max_concurrent_runs": 30, "tag_concurrency_limits": []},
    "run_monitoring": {"start_timeout_seconds": 1200, "cancel_timeout_seconds": 1400},
    "run_retries": {"max_retries": 0, "retry_on_asset_or_op_failure": True},
    "non_isolated_runs": {"max_concurrent_non_isolated_runs": 1},
    "auto_materialize": {
        "run_tags": {},
        "respect_materialization_data_versions": False,
        "use_sensors": False,
    },
    "default_sensor_timeout": 300,
    "default_schedule_timeout": 300,
}
"""As the hosted product's command writes them."""


def settings(content: dict[str, Any]) -> DeploymentSettings:
    return accepted(changed(deploymentSettings=content)).deployment_settings


def test_the_documented_example_goes_into_dagster_yaml_as_it_is() -> None:
    expected = {key: one for key, one in DOCUMENTED.items() if key != "non_isolated_runs"}
    assert settings(DOCUMENTED).dagster_yaml == expected


def test_a_dump_is_taken_and_what_it_leaves_open_stays_open() -> None:
    taken = settings(DUMPED)
    assert taken.default_sensor_timeout == taken.default_schedule_timeout == 300
    assert taken.dagster_yaml == {
        "run_queue": DUMPED["run_queue"],
        "run_monitoring": DUMPED["run_monitoring"],
        "run_retries": DUMPED["run_retries"],
        "auto_materialize": {"respect_materialization_data_versions": False, "use_sensors": False},
    }


def test_what_nobody_says_is_not_written() -> None:
    assert settings({}).dagster_yaml == {}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("sso_default_role", "EDITOR", "logins and roles are Dagster+'s"),
        ("max_concurrent_branch_deployment_runs", 50, "no branch deployments here"),
        ("max_concurrent_runs_per_branch_deployment", None, "A preview is a stack of its own"),
        ("branch_deployment_tag_concurrency_limits", [], "no branch deployments here"),
    ],
)
def test_what_only_the_hosted_product_has_is_refused_by_name(
    key: str, value: object, reason: str
) -> None:
    found = problem(changed(deploymentSettings={**DOCUMENTED, key: value}))
    assert found.key == f"run-isolation:deploymentSettings.{key}"
    assert found.allowed.startswith("absent: ")
    assert reason in found.allowed


@pytest.mark.parametrize(
    ("content", "key", "value", "allowed", "nearest"),
    [
        ({"concurrency": {"run": {}}}, "concurrency.run", "{}", "keys runs, pools", "runs"),
        (
            {"concurrency": {"runs": {"max_concurrent_runs": -2}}},
            "concurrency.runs.max_concurrent_runs",
            "-2",
            "-1 or more",
            "-1",
        ),
        (
            {"concurrency": {"pools": {"default_limit": 1001}}},
            "concurrency.pools.default_limit",
            "1001",
            "0 to 1000",
            "1000",
        ),
        (
            {"concurrency": {"pools": {"granularity": "runs"}}},
            "concurrency.pools.granularity",
            "runs",
            "run, op",
            "run",
        ),
        (
            {"run_queue": {"tag_concurrency_limits": [{"key": "a", "value": 1, "limit": 1}]}},
            "run_queue.tag_concurrency_limits.0.value",
            "1",
            "text in quotes, or {applyLimitPerUniqueValue: true}",
            None,
        ),
        (
            {"run_queue": {"tag_concurrency_limits": [{"key": "a"}]}},
            "run_queue.tag_concurrency_limits.0.limit",
            "(missing)",
            "required",
            None,
        ),
        (
            {"run_queue": {"tag_concurrency_limits": [{"kee": "a", "key": "a", "limit": 1}]}},
            "run_queue.tag_concurrency_limits.0.kee",
            "a",
            "keys key, value, limit",
            "key",
        ),
        (
            {"run_monitoring": {"start_timeout_seconds": "1200"}},
            "run_monitoring.start_timeout_seconds",
            "1200",
            "a whole number",
            None,
        ),
        ({"default_sensor_timeout": 0}, "default_sensor_timeout", "0", "1 or more", "1"),
    ],
)
def test_each_mistake_is_told_with_its_place(
    content: dict[str, Any], key: str, value: str, allowed: str, nearest: str | None
) -> None:
    found = problem(changed(deploymentSettings=content))
    assert found.key == f"run-isolation:deploymentSettings.{key}"
    assert (found.value, found.nearest) == (value, nearest)
    assert allowed in found.allowed


def test_the_older_spelling_may_not_say_another_thing() -> None:
    both = {
        "concurrency": {"runs": {"max_concurrent_runs": 10}},
        "run_queue": {"max_concurrent_runs": 20},
    }
    found = problem(changed(deploymentSettings=both))
    assert found.key == "run-isolation:deploymentSettings.run_queue.max_concurrent_runs"
    assert "run-isolation:deploymentSettings.concurrency.runs.max_concurrent_runs" in found.allowed
    both["run_queue"] = {"max_concurrent_runs": 10}
    assert settings(both).run_queue.max_concurrent_runs == 10


def test_all_are_told_at_once() -> None:
    wrong = {"sso_default_role": "VIEWER", "run_retries": {"max_retries": -1}}
    assert len(problems(changed(deploymentSettings=wrong))) == 2
