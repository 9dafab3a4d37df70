import json
from typing import Any

import pytest
from pydantic import ValidationError
from types_boto3_ssm import SSMClient

from run_isolation import Manifest, ManifestError, Size, aws
from tests.runtime.manifests import MANIFEST

PARAMETER = "/run-isolation/test/manifest"


@pytest.fixture
def ssm(account: None) -> SSMClient:
    return aws.ssm()


def stored(ssm: SSMClient, value: dict[str, Any] | str) -> Manifest:
    text = value if isinstance(value, str) else json.dumps(value)
    ssm.put_parameter(Name=PARAMETER, Value=text, Type="String")
    return Manifest.load(PARAMETER, ssm)


def as_dict() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(MANIFEST.to_json())
    return value


def test_what_infra_renders_is_what_the_runtime_loads(ssm: SSMClient) -> None:
    assert stored(ssm, MANIFEST.to_json()) == MANIFEST


def test_equal_manifests_are_equal_text() -> None:
    value = as_dict()
    value["locations"]["research"] = value["locations"]["sales"]
    turned = value | {"locations": dict(reversed(value["locations"].items()))}

    one, other = Manifest.model_validate(value), Manifest.model_validate(turned)
    assert one == other
    assert one.to_json() == other.to_json()


def test_fields_of_a_later_release_are_ignored(ssm: SSMClient) -> None:
    value = as_dict()
    value["colour"] = "blue"
    value["locations"]["sales"]["colour"] = "blue"

    assert stored(ssm, value) == MANIFEST


def test_a_typo_in_infra_fails_there() -> None:
    with pytest.raises(ValidationError, match="colour"):
        Manifest.model_validate({**as_dict(), "colour": "blue"})


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"version": 2}, "version"),
        ({"cluster": None}, "cluster"),
        ({"network": {"subnets": "subnet-1", "security_groups": []}}, "network.subnets"),
    ],
)
def test_malformed(ssm: SSMClient, change: dict[str, Any], names: str) -> None:
    with pytest.raises(ManifestError, match=names) as caught:
        stored(ssm, as_dict() | change)

    assert PARAMETER in str(caught.value)
    assert "release of run-isolation" in str(caught.value)


def test_not_json(ssm: SSMClient) -> None:
    with pytest.raises(ManifestError, match="Invalid JSON"):
        stored(ssm, "not JSON")


def test_missing(ssm: SSMClient) -> None:
    with pytest.raises(ManifestError, match=r"can't be read.*ParameterNotFound.*pulumi up"):
        Manifest.load(PARAMETER, ssm)


def test_location() -> None:
    assert MANIFEST.location("sales").isolated == Size(cpu=4096, memory=16384)


def test_a_location_is_found_by_the_name_that_dagster_knows() -> None:
    sales = MANIFEST.locations["sales"]
    named = sales.model_copy(update={"location_name": "data team"})
    manifest = MANIFEST.model_copy(update={"locations": {"sales": named}})
    assert manifest.location("data team") == named
    assert (manifest.key("data team"), MANIFEST.key("sales")) == ("sales", "sales")
    with pytest.raises(ManifestError, match=r"'lab', but \['data team'\]"):
        manifest.location("lab")
    assert Manifest.model_validate_json(manifest.to_json()) == manifest
    assert "location_name" not in MANIFEST.to_json()


def test_a_run_from_before_its_location_was_given_a_name_is_still_one_of_it() -> None:
    sales, lab = MANIFEST.locations["sales"], MANIFEST.locations["sales"].model_copy()
    named = sales.model_copy(update={"location_name": "Sales"})
    manifest = MANIFEST.model_copy(update={"locations": {"sales": named}})
    assert manifest.location("sales") == named
    # What Dagster calls so goes first.
    taken = lab.model_copy(update={"location_name": "sales", "host": "lab"})
    manifest = MANIFEST.model_copy(update={"locations": {"sales": named, "lab": taken}})
    assert manifest.location("sales") == taken


def test_a_manifest_of_before_the_instance_had_versions(ssm: SSMClient) -> None:
    value = as_dict()
    del value["instance_version"]
    value["instance"] = {"sqlite_directory": "/srv/dagster"}
    assert stored(ssm, value) == MANIFEST.model_copy(update={"instance_version": ""})


def test_unknown_location_names_the_nearest() -> None:
    with pytest.raises(ManifestError, match=r"'salse'.*Did you mean sales\?"):
        MANIFEST.location("salse")
