"""The example of the core's docstring, as a program that knows no Dagster would run it."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

import pytest

import run_isolation
from run_isolation import Kind
from tests.e2e.dagster_deployment import ON, PROBE, DagsterDeployment

pytestmark = [pytest.mark.e2e, pytest.mark.one_storage]

EXECUTED = 3
"""Exit code of the worker: it was started, and Dagster knows no run of that id."""


def run_example(deployment: DagsterDeployment, run_id: str) -> dict[str, Any]:
    """The names that the example leaves behind; `held` are the holders while it executes."""
    text = inspect.getdoc(run_isolation) or ""
    example = textwrap.dedent(text.partition("::\n\n")[2].partition("\n\nWhat can go wrong")[0])
    for word, own in (("prod", deployment.stack.name), ("sales", PROBE), ("run-1", run_id)):
        assert word in example
        example = example.replace(word, own)
    ecs = deployment.account.client("ecs")
    family = f"{deployment.cluster}-{PROBE}-isolated"
    revision = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    names: dict[str, Any] = {
        **vars(run_isolation),
        "REVISION": revision["taskDefinitionArn"],
        "execute_here": lambda run_id: names.update(held=deployment.holders),
    }
    exec(example, names)
    return names


def test_the_example_of_the_docstring(
    deployment: DagsterDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.up(ON)
    for key, value in deployment.environment("example").items():
        monkeypatch.setenv(key, value)

    free = run_example(deployment, "example-1")
    assert free["decision"].kind is Kind.NON_ISOLATED
    assert [holder.run_id for holder in free["held"]] == ["example-1"]
    assert deployment.holders == ()

    # A real run: the slot of one that Dagster does not know is freed by the daemon.
    holder = deployment.launch()
    holder.wait_for_place()
    taken = run_example(deployment, "example-2")
    holder.finish()
    assert taken["decision"].kind is Kind.ISOLATED
    assert holder.id in taken["decision"].reason
    task = deployment.wait_for_stopped(taken["task_arn"])
    assert [container["exitCode"] for container in task["containers"]] == [EXECUTED]
