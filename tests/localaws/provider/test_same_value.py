"""Values that mean the same although they are written differently, and those that don't."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localaws.provider.same_value import (
    Same,
    as_containers,
    as_json,
    as_policy,
    block,
    exactly,
    unordered,
)


def policy(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def container(**fields: Any) -> str:
    return json.dumps([{"name": "main", "image": "x", **fields}])


PORTS = [{"containerPort": 80}]
FILLED = {
    "cpu": 0,
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
}


@pytest.mark.parametrize(
    ("same", "old", "new"),
    [
        (exactly, None, {}),
        (exactly, "", None),
        (exactly, {"a": {"b": None}}, {}),
        (as_json, '{"a": 1, "b": 2}', '{"b":2,"a":1}'),
        (as_policy, policy(Action=["a"], Resource="*"), policy(Action="a", Resource=["*"])),
        (as_policy, policy(Action=["a", "b"]), policy(Action=["b", "a"])),
        (unordered, ["a", "b"], ["b", "a"]),
        (unordered, [{"x": ["1", "2"]}], [{"x": ["2", "1"]}]),
        (block(public=False), {"subnets": ["a", "b"]}, {"subnets": ["b", "a"], "public": False}),
        (block(public=False), [{"a": 1}], [{"a": 1, "public": False}]),
        (as_containers, container(portMappings=PORTS), container(**FILLED)),
        (
            as_containers,
            container(environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
            container(environment=[{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]),
        ),
    ],
)
def test_same(same: Same, old: Any, new: Any) -> None:
    assert same(old, new)
    assert same(new, old)


@pytest.mark.parametrize(
    ("same", "old", "new"),
    [
        (exactly, 0, None),
        (exactly, False, None),
        (exactly, {"a": 1}, {"a": 1, "b": 2}),
        (exactly, ["a", "b"], ["b", "a"]),
        (as_json, '{"a": 1}', '{"a": 2}'),
        (as_json, "", "{}"),
        (as_policy, policy(Action="a"), policy(Action=["a", "b"])),
        (as_policy, policy(Effect="Allow"), policy(Effect="Deny")),
        (unordered, ["a", "a"], ["a"]),
        (block(public=False), {"subnets": ["a"]}, {"subnets": ["a"], "public": True}),
        (as_containers, container(), container(image="y")),
        (as_containers, container(command=["a", "b"]), container(command=["b", "a"])),
        (as_containers, container(), container(environment=[{"name": "A", "value": "1"}])),
        (as_containers, container(portMappings=PORTS), container()),
        (as_containers, container(), container(essential=False)),
    ],
)
def test_different(same: Same, old: Any, new: Any) -> None:
    assert not same(old, new)
    assert not same(new, old)
