import json
from collections.abc import Mapping
from typing import Any

import pytest

from run_isolation import IsolatedLaunch, Manifest
from run_isolation.isolated.run_task import request
from run_isolation.isolated.task_placement import place
from tests.runtime.manifests import MANIFEST

SUBNETS = ["a", "b", "c"]


def test_as_asked_then_on_demand_then_zone_by_zone() -> None:
    placements = [place(attempt, SUBNETS) for attempt in range(1, 8)]

    assert [each.as_asked for each in placements] == [True] + [False] * 6
    assert [each.subnets for each in placements] == [
        SUBNETS,
        SUBNETS,
        ["a"],
        ["b"],
        ["c"],
        ["a"],
        ["b"],
    ]


def test_no_subnets() -> None:
    assert place(5, []).subnets == []


def sent_by(
    attempt: int, manifest: Manifest = MANIFEST, asked: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The request of an attempt at a run that asks for these arguments."""
    tags = {"ecs/run_task_kwargs": json.dumps(asked)} if asked else {}
    revision = "run-isolation-test-sales-isolated:7"
    return request(manifest, IsolatedLaunch("run-a", attempt, "sales", revision, tags))


ON_DEMAND = {"launchType": "FARGATE"}
SPOT = {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}
MIXED = [
    {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
    {"capacityProvider": "FARGATE_SPOT", "weight": 4},
]


@pytest.mark.parametrize(
    ("spot", "asked", "first"),
    [
        (False, {}, ON_DEMAND),
        (True, {}, SPOT),
        (True, {"launchType": "FARGATE"}, ON_DEMAND),
        (False, {"capacityProviderStrategy": MIXED}, {"capacityProviderStrategy": MIXED}),
        # As with EcsRunLauncher, the strategy goes before the launch type.
        (
            False,
            {"launchType": "FARGATE", "capacityProviderStrategy": MIXED},
            {"capacityProviderStrategy": MIXED},
        ),
    ],
)
def test_only_the_first_attempt_is_on_spot(
    spot: bool, asked: dict[str, Any], first: dict[str, Any]
) -> None:
    locations = {"sales": MANIFEST.locations["sales"].model_copy(update={"spot": spot})}
    manifest = MANIFEST.model_copy(update={"locations": locations})

    def capacity(attempt: int) -> dict[str, Any]:
        sent = sent_by(attempt, manifest, asked)
        names = ("launchType", "capacityProviderStrategy")
        return {name: sent[name] for name in names if name in sent}

    assert capacity(1) == first
    assert [capacity(attempt) for attempt in (2, 3, 4)] == [ON_DEMAND] * 3


def test_zones_in_turn_from_the_third_attempt_on() -> None:
    subnets = [
        sent_by(attempt)["networkConfiguration"]["awsvpcConfiguration"]["subnets"]
        for attempt in range(1, 6)
    ]

    assert subnets[:2] == [["subnet-1", "subnet-2"]] * 2
    assert subnets[2:] == [["subnet-1"], ["subnet-2"], ["subnet-1"]]
