import json

import pytest

from run_isolation.slots.settings import NonIsolatedRuns
from tests.infra.program import TAGS, changed, default, run


@pytest.mark.parametrize("protect", [True, False])
def test_table(protect: bool) -> None:
    table = run(changed(protect=protect)).one("dynamodb/table", "slots")
    assert table.inputs == {
        "name": "run-isolation-prod-slots",
        "billingMode": "PAY_PER_REQUEST",
        "hashKey": "pk",
        "attributes": [{"name": "pk", "type": "S"}],
        "ttl": {"attributeName": "expires_at", "enabled": True},
        "pointInTimeRecovery": {"enabled": True},
        "deletionProtectionEnabled": protect,
        "tags": TAGS,
    }
    assert table.request.protect is protect


def test_protected_unless_the_config_says_otherwise() -> None:
    assert default().one("dynamodb/table", "slots").request.protect is True


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"enabled": True, "max_concurrent_non_isolated_runs": 7, "allow_automated": True},
    ],
)
def test_settings_are_an_item_that_the_runtime_reads(settings: dict[str, object]) -> None:
    program = run(changed(deploymentSettings={"non_isolated_runs": settings}))
    inputs = program.inputs("dynamodb/tableItem", "settings")
    item = json.loads(inputs.pop("item"))
    assert inputs == {"tableName": "run-isolation-prod-slots", "hashKey": "pk"}
    assert item["pk"] == {"S": "settings"}
    assert NonIsolatedRuns.from_item(item) == NonIsolatedRuns.model_validate(settings)


def test_limits_of_code_locations_are_by_what_dagster_calls_them() -> None:
    sales = {"image": "sales:1", "module": "sales"}
    locations = {
        "sales": {**sales, "locationName": "Sales team", "max_concurrent_non_isolated_runs": 2},
        "research": {**sales, "max_concurrent_non_isolated_runs": 0},
        "finance": sales,
    }
    program = run(changed(codeLocations=locations))
    item = json.loads(program.inputs("dynamodb/tableItem", "settings")["item"])
    assert NonIsolatedRuns.from_item(item).location_limits == {"Sales team": 2, "research": 0}
