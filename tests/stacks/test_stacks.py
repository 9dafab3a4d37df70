"""The stack files in the checkout and the config's reference, against the config's model."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from infra.config import Config, parse
from run_isolation.fargate import MEMORY_BY_CPU

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "stack-config.md"
EXAMPLE = ROOT / "stacks" / "Pulumi.example.yaml"
LOCAL_ACCOUNT = "000000000000"


def load(stack: str, account: str) -> Config:
    """Parse a stack's file as the engine hands it to the program: each value as text."""
    settings = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{stack}.yaml").read_text())["config"]
    raw = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in settings.items()
    }
    return parse(raw, deployment=stack, account=account)


def keys_with_defaults(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key below a model, dotted, and its default as the reference writes it."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        if part := _part(field.annotation):
            below = f"{key}.<name>." if "dict" in str(field.annotation) else f"{key}."
            yield from keys_with_defaults(part, below)
        elif field.is_required():
            yield key, "required"
        else:
            yield key, _as_written(field.get_default(call_default_factory=True))


def _as_written(default: object) -> str:
    """A default as the reference writes it."""
    if default is None:
        return "none"
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


def _part(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation such as `Part`, or `dict[name, Part]`."""
    for choice in (annotation, *get_args(annotation)):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            return choice
    return None


def test_local_stack_shows_both_kinds_of_runs() -> None:
    config = load("local", LOCAL_ACCOUNT)
    runs = config.deployment_settings.non_isolated_runs
    assert (runs.enabled, runs.max_concurrent_non_isolated_runs) == (True, 1)
    assert config.protect is False


def test_local_images_are_directories_with_the_module() -> None:
    locations = load("local", LOCAL_ACCOUNT).code_locations
    assert sorted(locations) == ["research", "sales"]
    for location in locations.values():
        assert location.module is not None
        module = Path(*location.module.split(".")).with_suffix(".py")
        assert (ROOT / location.image / module).is_file()


def test_example_stack_is_valid() -> None:
    config = load("example", "123456789012")
    assert [location.target for location in config.code_locations.values()] == [
        ("--module-name", "sales.definitions"),
        ("--python-file", "research/defs.py"),
        ("--package-name", "marketing"),
        ("--autoload-defs-module-name", "finance.defs"),
    ]


@pytest.mark.parametrize("key", [key for key, _ in keys_with_defaults(Config)])
def test_example_stack_has_every_key(key: str) -> None:
    assert re.search(rf"\b{key.rsplit('.', 1)[-1]}:", EXAMPLE.read_text()), key


def test_reference_has_every_key_with_its_default() -> None:
    table = REFERENCE.read_text().split("\n## ")[0]
    rows = re.findall(r"^\| `([\w.:<>]+)` \| (.+?) \|", table, re.MULTILINE)
    assert dict(rows) == {"aws:region": "required", **dict(keys_with_defaults(Config))}
    assert len(rows) == len(dict(rows))


@pytest.mark.parametrize(("cpu", "sizes"), MEMORY_BY_CPU.items())
@pytest.mark.parametrize("page", [EXAMPLE, REFERENCE], ids=lambda page: page.name)
def test_fargates_sizes_are_told_right(page: Path, cpu: int, sizes: tuple[int, ...]) -> None:
    (told,) = re.findall(rf"^ *[#|] *{cpu}[ :|]+(.+?)[ |]*$", page.read_text(), re.MULTILINE)
    numbers = [int(number) for number in re.findall(r"\d+", told)]
    if "steps" in told:
        first, last, step = numbers
        numbers = list(range(first, last + 1, step))
    assert tuple(numbers) == sizes
