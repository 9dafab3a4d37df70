"""What mypy knows of the AWS SDK: a service that pyproject.toml does not name has no types."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pulumi_aws

ROOT = Path(__file__).parents[2]


def services(directory: Path) -> Iterator[str]:
    """Those that a directory's modules name as `aws.<service>`."""
    for file in directory.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                folder = Path(pulumi_aws.__file__).parent / node.attr
                if node.value.id == "aws" and folder.is_dir():
                    yield node.attr


def test_mypy_reads_the_services_that_are_used() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    (read,) = (one["module"] for one in overrides if one.get("follow_imports") == "normal")
    used = {*services(ROOT / "infra"), *services(ROOT / "tests")}
    assert {"ecs", "iam", "s3"} <= used
    assert {f"pulumi_aws.{service}.*" for service in used} - set(read) == set()
