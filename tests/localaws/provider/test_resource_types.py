"""The table of types, against the SDK whose provider this one stands in for."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from localaws.provider.resource import ResourceType
from localaws.provider.resource_types import TYPES
from localaws.provider.same_value import exactly

ROWS = list(TYPES.values())
IDS = list(TYPES)


def sdk_class(row: ResourceType) -> type:
    """The SDK's class of a token: `aws:ecs/cluster:Cluster` is `pulumi_aws.ecs.Cluster`."""
    module, name = re.fullmatch(r"aws:(\w+)/\w+:(\w+)", row.token).groups()  # type: ignore[union-attr]
    found: type = getattr(importlib.import_module(f"pulumi_aws.{module}"), name)
    return found


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_knows_only_properties_that_the_real_provider_has(row: ResourceType) -> None:
    found = sdk_class(row)
    arguments = inspect.signature(found._internal_init).parameters  # type: ignore[attr-defined]
    inputs = {camel(name) for name in arguments} - {"self", "resourceName", "opts", "props"}
    outputs = {camel(name) for name, kind in vars(found).items() if isinstance(kind, property)}
    assert set(row.inputs) <= inputs
    assert set(row.outputs) <= outputs


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_every_replacement_has_a_source(row: ResourceType) -> None:
    for path, source in row.replaces.items():
        assert path.split(".")[0].removesuffix("?") in row.inputs
        assert re.fullmatch(
            r"https://github\.com/hashicorp/terraform-provider-aws/blob/main/internal/.+\.go",
            source,
        )


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_is_consistent(row: ResourceType) -> None:
    handler = row.handler
    properties = {*row.inputs, *row.outputs}
    roots = [path.split(".")[0] for path in (*handler.nested, *handler.defaults)]
    assert {*handler.remembered, *handler.same, *roots} <= set(row.inputs)
    assert set(handler.changing) <= set(handler.outputs)
    assert row.name is None or row.name in row.replaces
    assert len(properties) == len(row.inputs) + len(set(row.outputs) - set(row.inputs))


def test_the_name_of_a_task_definition_may_be_taken_twice() -> None:
    # A new revision comes before the old one goes, so that something always runs.
    assert TYPES["aws:ecs/taskDefinition:TaskDefinition"].name is None


def test_types_compare_exactly_unless_they_say_otherwise() -> None:
    row = TYPES["aws:cloudwatch/logGroup:LogGroup"]
    assert not row.handler.same
    assert row.same("tags", {}, None) is exactly({}, None) is True
    assert not row.same("retentionInDays", 7, 30)
