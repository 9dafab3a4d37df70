"""What one change of the stack config changes in AWS, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation

from localaws.account import LocalAccount
from localaws.faults import Error
from run_isolation.isolated.claims import claim
from run_isolation.slots.item import Holder
from run_isolation.slots.slots import Acquired, Denied, Disabled, Slots
from tests.deployment.conftest import SALES, MakeStack, config, probe
from tests.deployment.inventory import inventory
from tests.deployment.served import code_version
from tests.deployment.stack import DeployedStack, manifest

pytestmark = pytest.mark.engine

STACK = "changes"
TABLE = f"run-isolation-{STACK}-slots"


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("instance")


@pytest.fixture(scope="module")
def provisioned(make_stack: MakeStack, instance: Path) -> DeployedStack:
    stack = make_stack(STACK)
    stack.write(config(instance))
    stack.up()
    return stack


@pytest.fixture
def stack(provisioned: DeployedStack, instance: Path) -> Iterator[DeployedStack]:
    """The stack with the same config, applied, before each test."""
    yield provisioned
    provisioned.write(config(instance))
    provisioned.up()


@pytest.fixture
def slots(account: LocalAccount) -> Slots:
    return Slots(account.client("dynamodb"), TABLE)


def items(account: LocalAccount) -> set[str]:
    """Keys of what is in the slot table."""
    found = account.client("dynamodb").scan(TableName=TABLE)["Items"]
    return {item["pk"]["S"] for item in found}


def test_a_second_up_changes_nothing(stack: DeployedStack) -> None:
    assert stack.up().by_resource == {}


def test_refresh_finds_no_drift_while_the_runtime_has_items_of_its_own(
    stack: DeployedStack, instance: Path, account: LocalAccount, slots: Slots
) -> None:
    stack.write(config(instance, non_isolated_runs={"enabled": True}))
    stack.up()
    holder = Holder("run-1", 1, "probe")
    assert slots.acquire(holder) == Acquired(holder)
    claim(account.client("dynamodb"), TABLE, "run-2", 1, "arn:task")

    assert stack.refresh().by_resource == {}
    assert stack.up(refresh=True).by_resource == {}

    assert slots.holders() == (holder,)
    keys = {key for key in items(account) if not key.startswith("instance#")}
    assert keys == {"settings", "slots", "claim#run-2"}
    assert slots.release("run-1", 1)


def test_settings_change_one_resource_and_the_next_acquire_obeys_them(
    stack: DeployedStack, instance: Path, slots: Slots
) -> None:
    first, second = Holder("first", 1, "probe"), Holder("second", 1, "probe")
    assert isinstance(slots.acquire(first), Disabled)
    only_the_settings = {"aws:dynamodb/tableItem:TableItem::settings": ["update"]}

    stack.write(config(instance, non_isolated_runs={"enabled": True}))
    assert stack.preview().by_resource == only_the_settings
    assert stack.up().by_resource == only_the_settings
    assert slots.acquire(first) == Acquired(first)
    assert slots.acquire(second) == Denied((first,), 1)

    limit = {"enabled": True, "max_concurrent_non_isolated_runs": 2}
    stack.write(config(instance, non_isolated_runs=limit))
    assert stack.up().by_resource == only_the_settings
    assert slots.acquire(second) == Acquired(second)

    stack.write(config(instance, non_isolated_runs={"enabled": False}))
    assert stack.up().by_resource == only_the_settings
    assert isinstance(slots.acquire(Holder("third", 1, "probe")), Disabled)
    # A limit lowered below what is in use kills nothing.
    assert {holder.run_id for holder in slots.holders()} == {"first", "second"}
    assert slots.release("first", 1)
    assert slots.release("second", 1)


@pytest.mark.parametrize(
    ("item", "skip", "in_force"),
    [("slots", 0, 1), ("settings", 0, 1), ("slots", 1, 2)],
    ids=["before it writes", "as it writes", "after it has written"],
)
def test_settings_count_wherever_an_up_is_interrupted(
    stack: DeployedStack,
    instance: Path,
    slots: Slots,
    account: LocalAccount,
    item: str,
    skip: int,
    in_force: int,
) -> None:
    def change(limit: int) -> None:
        settings = {"enabled": True, "max_concurrent_non_isolated_runs": limit}
        stack.write(config(instance, non_isolated_runs=settings))
        stack.up()

    change(1)
    account.faults.add(
        Error(
            service="dynamodb",
            operation="UpdateItem",
            code="AccessDeniedException",
            message="You may not.",
            skip=skip,
            where={"Key.pk.S": f"^{item}$"},
        )
    )
    with pytest.raises(automation.CommandError, match="You may not"):
        change(2)

    runs = [Holder(f"run-{n}", 1, "probe") for n in range(3)]
    answers = [slots.acquire(run) for run in runs]
    assert [type(each) for each in answers] == [Acquired] * in_force + [Denied] * (3 - in_force)
    for run in runs:
        slots.release(run.run_id, 1)
    change(3)
    assert [type(slots.acquire(run)) for run in runs] == [Acquired] * 3
    for run in runs:
        slots.release(run.run_id, 1)


def test_a_new_image_replaces_that_locations_tasks_and_serves_the_new_code(
    stack: DeployedStack, instance: Path, account: LocalAccount
) -> None:
    both = {"probe": probe("1"), "sales": SALES}
    stack.write(config(instance, locations=both))
    before = stack.up().outputs
    assert code_version(account, STACK) == "1"

    stack.write(config(instance, locations={**both, "probe": probe("2")}))
    changes = stack.up()

    assert changes.names("aws:ecs/taskDefinition:TaskDefinition") == {
        "probe-standing",
        "probe-isolated",
    }
    assert changes.by_resource.pop("aws:ecs/service:Service::probe") == ["update"]
    assert changes.by_resource.pop("pulumi:index:Stash::rolled-out") == ["update"]
    for operations in changes.by_resource.values():
        assert set(operations) <= {"replace", "create-replacement", "delete-replaced"}
    assert len(changes.by_resource) == 2, changes.by_resource
    assert code_version(account, STACK) == "2"

    # Runs that were queued before the release execute the revision that they were created with.
    old = before["codeLocations"]["probe"]["isolatedTaskDefinition"]
    new = changes.outputs["codeLocations"]["probe"]["isolatedTaskDefinition"]
    assert old != new
    for revision in (old, new):
        definition = account.client("ecs").describe_task_definition(taskDefinition=revision)
        assert definition["taskDefinition"]["status"] == "ACTIVE"
    assert changes.outputs["manifest"] == before["manifest"]


def test_another_instance_is_another_version_and_each_that_there_was_stays(
    stack: DeployedStack, instance: Path, account: LocalAccount
) -> None:
    # Beside the stack's config file, as a user has it.
    (stack.directory / "stacks" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    stack.write(config(instance, instance={"dagsterYaml": "dagster.yaml"}))
    changes = stack.up()
    newest = manifest(changes)["instance_version"]
    before = {key for key in items(account) if key.startswith("instance#")} - {f"instance#{newest}"}
    assert len(before) == 1
    assert changes.by_resource["aws:ecs/service:Service::probe"] == ["update"]
    assert changes.names("aws:ecs/taskDefinition:TaskDefinition") == {
        *("probe-standing", "probe-isolated"),
    }
    assert stack.refresh().by_resource == {}
    assert stack.up().by_resource == {}

    # The item that it names again is there, and a TableItem is created only where there is none.
    stack.write(config(instance))
    again = manifest(stack.up())["instance_version"]

    assert {f"instance#{again}"} == before
    assert items(account) >= before | {f"instance#{newest}"}


def test_a_location_is_added_and_removed_without_touching_the_others(
    stack: DeployedStack, instance: Path, account: LocalAccount
) -> None:
    before = inventory(account, STACK)
    stack.write(config(instance, locations={"probe": probe("1"), "sales": SALES}))

    added = stack.up()
    assert not {name for name in added.names() if name.startswith("probe")}
    assert "sales" in manifest(added)["locations"]

    stack.write(config(instance))
    removed = stack.up(run_program=True)
    assert not {name for name in removed.names() if name.startswith("probe")}
    assert list(manifest(removed)["locations"]) == ["probe"]
    assert inventory(account, STACK) == before
