import asyncio
import json
from collections.abc import Awaitable
from typing import Any, cast

import pulumi
import pytest
from pulumi.runtime import mocks

from infra import hooks
from infra.hooks import Hooks
from infra.rollout import Rollout
from run_isolation import NonIsolatedRuns, Slots
from tests.infra.program import REGION, Cloud, deployment


def made() -> Hooks:
    mocks.set_mocks(Cloud(), project="run-isolation", stack="prod")
    found: list[Hooks] = []

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        found.append(Hooks.of(deployment()))

    program()
    return found[0]


def call(hook: pulumi.ResourceHook, **args: Any) -> None:
    async def wait() -> None:
        await cast(Awaitable[None], hook(pulumi.ResourceHookArgs("urn", "id", "n", "t", **args)))

    asyncio.run(wait())


def test_up_waits_for_the_service_that_was_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[Rollout] = []
    monkeypatch.setattr(Rollout, "wait", lambda self: waited.append(self))
    outputs = {"cluster": "arn:cluster", "name": "sales", "taskDefinition": "arn:td:2"}
    call(made().wait_until_healthy, new_outputs=outputs)
    [rollout] = waited
    assert (rollout.cluster, rollout.service) == ("arn:cluster", "sales")
    assert rollout.task_definition == "arn:td:2"
    assert rollout.ecs.meta.region_name == REGION


def test_both_families_of_a_location_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    deleted: list[str] = []
    monkeypatch.setattr(hooks, "delete_revisions", lambda _, family: deleted.append(family))
    call(made().delete_revisions, old_outputs={"name": "/run-isolation/prod/gone"})
    assert deleted == ["run-isolation-prod-gone-standing", "run-isolation-prod-gone-isolated"]


def test_a_limit_is_in_force_once_the_settings_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[tuple[str, int | None]] = []
    monkeypatch.setattr(Slots, "clear_limit", lambda self: done.append((self.table, None)))
    monkeypatch.setattr(Slots, "set_limit", lambda self, limit: done.append((self.table, limit)))
    settings = NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=3)
    item = {"item": json.dumps(settings.to_item())}
    call(made().clear_limit, new_inputs=item)
    call(made().set_limit, new_inputs=item, new_outputs=item)
    assert done == [("run-isolation-prod-slots", None), ("run-isolation-prod-slots", 3)]
