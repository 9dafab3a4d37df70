import asyncio
import json
from collections.abc import Awaitable
from typing import Any, cast

import pulumi
import pulumi_aws as aws
import pytest
from pulumi.runtime import mocks

from infra.hooks import hooks, in_the_way
from infra.hooks.hooks import Hooks
from infra.hooks.one_rollout import Rollout
from run_isolation import NonIsolatedRuns, Slots
from tests.infra.program import REGION, Cloud, deployment, event_loop


def made() -> Hooks:
    found: list[Hooks] = []
    with event_loop():
        mocks.set_mocks(Cloud(), project="run-isolation", stack="prod")

        @pulumi.runtime.test  # type: ignore[untyped-decorator]
        def program() -> None:
            found.append(Hooks.of(deployment()))

        program()
    return found[0]


def call(hook: pulumi.ResourceHook, **args: Any) -> None:
    async def wait() -> None:
        await cast(Awaitable[None], hook(pulumi.ResourceHookArgs("urn", "id", "n", "t", **args)))

    asyncio.run(wait())


def service(name: str, revision: int) -> dict[str, str]:
    return {"cluster": "arn:cluster", "name": name, "taskDefinition": f"arn:{name}:{revision}"}


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[Rollout]:
    looks: list[Rollout] = []

    def healthy(rollout: Rollout) -> bool:
        looks.append(rollout)
        return True

    monkeypatch.setattr(Rollout, "healthy", healthy)
    return looks


def test_a_service_that_was_updated_is_waited_for_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = looked_at(monkeypatch)
    hooks = made()
    call(hooks.note_rollout, new_outputs=service("sales", 2))
    assert looks == []
    asyncio.run(hooks.rollouts.wait())
    [rollout] = looks
    assert (rollout.cluster, rollout.service) == ("arn:cluster", "sales")
    assert rollout.task_definition == "arn:sales:2"
    assert rollout.log_group == "/run-isolation/prod/sales"
    assert rollout.ecs.meta.region_name == rollout.logs.meta.region_name == REGION
    asyncio.run(hooks.rollouts.wait())
    assert len(looks) == 1


@pytest.mark.parametrize(
    ("recorded", "waited"),
    [
        (None, {"sales", "probe"}),
        ({"sales": service("sales", 1)}, {"sales", "probe"}),
        ({"sales": service("sales", 2), "gone": service("gone", 1)}, {"probe"}),
    ],
)
def test_what_never_came_up_is_waited_for_again(
    monkeypatch: pytest.MonkeyPatch, recorded: dict[str, Any] | None, waited: set[str]
) -> None:
    looks = looked_at(monkeypatch)
    wanted = {"sales": service("sales", 2), "probe": service("probe", 1)}
    old = None if recorded is None else {"input": recorded}
    call(made().wait_until_healthy, new_inputs={"input": wanted}, old_inputs=old)
    assert {one.service for one in looks} == waited


def test_both_families_of_a_location_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    deleted: list[str] = []
    monkeypatch.setattr(hooks, "delete_revisions", lambda _, family: deleted.append(family))
    call(made().delete_revisions, old_outputs={"name": "/run-isolation/prod/gone"})
    assert deleted == ["run-isolation-prod-gone-standing", "run-isolation-prod-gone-isolated"]


def test_a_service_that_pulumi_has_answered_for_is_deleted_by_a_destroy_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []
    monkeypatch.setattr(in_the_way, "check", lambda clients, made: looks.append(made.name))
    found: list[Hooks] = []
    urns: list[str] = []
    with event_loop():
        mocks.set_mocks(Cloud(), project="run-isolation", stack="prod")

        @pulumi.runtime.test  # type: ignore[untyped-decorator]
        def program() -> pulumi.Output[None]:
            hooks = Hooks.of(deployment())
            service = aws.ecs.Service("sales")
            hooks.has_answered(service)
            found.append(hooks)
            return service.urn.apply(urns.append)

        program()

        async def delete() -> None:
            [hooks] = found
            for urn in ("urn:gone", *urns, *urns):
                args = pulumi.ResourceHookArgs(urn, "id", "n", "t")
                await cast(Awaitable[None], hooks.refuse_while_in_use(args))
                assert looks == ([] if urn == "urn:gone" else ["prod"])

        asyncio.get_event_loop().run_until_complete(delete())


def test_a_limit_is_in_force_once_the_settings_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[tuple[str, NonIsolatedRuns | None]] = []
    monkeypatch.setattr(Slots, "clear_limits", lambda self: done.append((self.table, None)))
    monkeypatch.setattr(Slots, "set_limits", lambda self, those: done.append((self.table, those)))
    settings = NonIsolatedRuns(
        enabled=True, max_concurrent_non_isolated_runs=3, location_limits={"sales": 1}
    )
    item = {"item": json.dumps(settings.to_item())}
    call(made().clear_limits, new_inputs=item)
    call(made().set_limits, new_inputs=item, new_outputs=item)
    assert done == [("run-isolation-prod-slots", None), ("run-isolation-prod-slots", settings)]
