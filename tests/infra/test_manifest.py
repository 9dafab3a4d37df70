import copy
from typing import Any

import pulumi
import pytest

from infra import instance_document
from infra.deployment import EXECUTION, Kind
from infra.manifest import VALUE_LIMIT, render
from run_isolation.isolated.boundaries import ROLES, Boundaries
from run_isolation.manifest import Manifest, Size
from tests.infra.program import CONFIG, TAGS, changed, default, deployment, run


def many_locations(count: int) -> dict[str, Any]:
    location = {"image": "code:1", "module": "code"}
    return changed(codeLocations={f"location-number-{n:03}": location for n in range(count)})


def test_parameter() -> None:
    program = default()
    assert program.inputs("ssm/parameter", "manifest") == {
        "name": "/run-isolation/prod/manifest",
        "description": "run-isolation: the deployment, for its webserver, daemon and tasks",
        "type": "String",
        "tier": "Intelligent-Tiering",
        "value": program.outputs["manifest"],
        "tags": TAGS,
    }


def test_execution_again_can_be_turned_off() -> None:
    on = Manifest.model_validate_json(default().outputs["manifest"])
    off = run(changed(isolateOnOutOfMemory=False)).outputs["manifest"]
    assert on.isolate_on_out_of_memory
    assert not Manifest.model_validate_json(off).isolate_on_out_of_memory


def test_the_runtime_reads_what_was_written() -> None:
    manifest = Manifest.model_validate_json(default().outputs["manifest"])
    assert manifest.model_dump() == {
        "version": 1,
        "deployment": "prod",
        "account": "123456789012",
        "region": "eu-west-1",
        "cluster": "arn:aws:ecs:eu-west-1:123456789012:cluster/run-isolation-prod",
        "table": "run-isolation-prod-slots",
        "network": {
            "subnets": ["private-1-id", "private-2-id"],
            "security_groups": ["isolated-id"],
            "assign_public_ip": False,
            "clients_group": "clients-id",
        },
        "instance_version": instance_document.render(deployment()).version,
        "locations": {
            "research_lab": {
                "host": "research-lab.prod.run-isolation.internal",
                "port": 4000,
                "standing": {"cpu": 512, "memory": 2048},
                "isolated": {"cpu": 8192, "memory": 32768},
                "largest": {"cpu": 8192, "memory": 61440},
                "spot": True,
                "log_group": "/run-isolation/prod/research_lab",
            },
            "sales": {
                "host": "sales.prod.run-isolation.internal",
                "port": 4000,
                "standing": {"cpu": 256, "memory": 1024},
                "isolated": {"cpu": 4096, "memory": 16384},
                "log_group": "/run-isolation/prod/sales",
            },
        },
        "propagate_tags": ["team"],
    }


def test_what_a_run_may_ask_for() -> None:
    locations = Manifest.model_validate_json(default().outputs["manifest"]).locations
    lab, sales = locations["research_lab"], locations["sales"]
    assert (lab.largest, lab.spot) == (Size(cpu=8192, memory=61440), True)
    assert (sales.largest, sales.spot) == (Size(cpu=16384, memory=122880), False)


def test_a_release_of_code_does_not_change_it() -> None:
    released = copy.deepcopy(CONFIG)
    released["run-isolation:codeLocations"]["sales"]["image"] += "-next"
    texts = [render(one, ["s"], "g", "c") for one in (deployment(released), deployment())]
    assert texts[0] == texts[1]


def test_the_runtime_knows_what_is_a_location_s_own() -> None:
    config = copy.deepcopy(CONFIG)
    config["run-isolation:codeLocations"]["sales"]["locationName"] = "Sales team"
    of = deployment(config)
    manifest = Manifest.model_validate_json(render(of, ["s"], "g", "c"))
    for key, name in (("sales", "Sales team"), ("research_lab", "research_lab")):
        boundaries = Boundaries.of(manifest, name)
        assert boundaries.own("isolated") == of.family(key, Kind.ISOLATED)
        assert {role: boundaries.own(actor) for role, actor in ROLES.items()} == {
            "taskRoleArn": of.role(key, Kind.ISOLATED),
            "executionRoleArn": of.role(key, EXECUTION),
        }


def test_a_manifest_that_fits_no_parameter_is_a_config_error() -> None:
    with pytest.raises(pulumi.RunError) as refused:
        run(many_locations(50))
    assert "run-isolation:codeLocations: 50 locations, a manifest of" in str(refused.value)
    assert f"up to {VALUE_LIMIT} bytes" in str(refused.value)


def test_the_offered_number_of_locations_fits() -> None:
    with pytest.raises(pulumi.RunError) as refused:
        run(many_locations(50))
    nearest = next(line for line in str(refused.value).splitlines() if "nearest: about" in line)
    count = int(nearest.split()[2])
    value = run(many_locations(count)).inputs("ssm/parameter", "manifest")["value"]
    assert 0.9 * VALUE_LIMIT < len(value) <= VALUE_LIMIT
