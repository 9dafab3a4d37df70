"""The record has each decision once, whatever the ids, the stack and the code location."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from localaws.iam.decisions import Ruling
from tests.rights import record

HERE = "us-east-1:000000000000"


def ruling(stack: str, **changed: Any) -> Ruling:
    """A standing container looks at its task."""
    task = f"arn:aws:ecs:{HERE}:task/run-isolation-{stack}/{uuid4().hex}"
    asked = {
        "call": "ecs:DescribeTasks",
        "caller": "arn:aws:sts::000000000000:assumed-role/x/{uuid4().hex}",
        "role": f"arn:aws:iam::000000000000:role/run-isolation-{stack}-probe-standing",
        "action": "ecs:DescribeTasks",
        "resource": task,
        "context": {
            "ecs:cluster": f"arn:aws:ecs:{HERE}:cluster/run-isolation-{stack}",
            "ecs:resourcetag/dagster/run_id": str(uuid4()),
            "aws:currenttime": "2026-11-30T12:00:00Z",
        },
        "allowed": True,
        "by": f"run-isolation-{stack}-probe-standing:SeeTasks",
        "kind": "identity-based policy",
    }
    return Ruling(**{**asked, **changed})


def seen(stack: str, **changed: Any) -> record.Decision:
    found = record.decision(ruling(stack, **changed), stack)
    assert found is not None
    return found


def test_ids_stacks_and_tags_make_no_difference(tmp_path: Path) -> None:
    assert seen("one") == seen("two") == seen("two")
    path = tmp_path / "record.json"
    record.write([seen("one"), seen("two")], path)
    [decision] = record.read(path)
    assert decision == seen("one")
    assert decision.resource == "arn:aws:ecs:{region}:{account}:task/run-isolation-{stack}/{id}"
    assert dict(decision.context).keys() == {"ecs:cluster"}
    assert decision.grant == "standing:SeeTasks ecs:DescribeTasks"


@pytest.mark.parametrize(
    ("resource", "general"),
    [
        (
            f"arn:aws:ecs:{HERE}:task-definition/run-isolation-one-research_lab-isolated:12",
            "arn:aws:ecs:{region}:{account}:task-definition/"
            "run-isolation-{stack}-{location}-isolated:{revision}",
        ),
        (
            f"arn:aws:logs:{HERE}:log-group:/run-isolation/one/probe:log-stream:isolated/dagster/"
            "ddf64f2dac644195bebe85d6160cb67c",
            "arn:aws:logs:{region}:{account}:log-group:/run-isolation/{stack}/{location}:log-stream:"
            "isolated/dagster/{id}",
        ),
        (
            "arn:aws:s3:::run-isolation-one-compute-logs-000000000000/one/storage/8cc90dd9-d577-42ac-a49d-7ed54e64c4e6/a.err",
            "arn:aws:s3:::run-isolation-{stack}-compute-logs-{account}/{key}",
        ),
        (f"arn:aws:secretsmanager:{HERE}:secret:database-aBcDeF", "{database}"),
    ],
)
def test_what_differs_from_run_to_run_is_a_placeholder(resource: str, general: str) -> None:
    assert seen("one", resource=resource).resource == general


def test_others_decisions_are_not_the_deployment_s() -> None:
    assert record.decision(ruling("one"), "two") is None
    assert record.decision(ruling("one", role="", caller="arn:aws:iam::1:root"), "one") is None
    assert seen("one", allowed=False).by == ""
