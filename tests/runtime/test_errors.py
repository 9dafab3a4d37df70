"""The tree at the top of errors.py is the tree of the code, and every error says what to do."""

import dataclasses
import inspect
import re

import pytest

from run_isolation import errors
from run_isolation.errors import LaunchError, Retry, RunIsolationError


def tree(root: type[Exception], indent: str = "") -> list[str]:
    lines = [root.__name__]
    # The Dagster layer has errors of its own, which other tests may have imported.
    children = [one for one in root.__subclasses__() if one.__module__ == errors.__name__]
    for child in children:
        last = child is children[-1]
        head, *rest = tree(child)
        lines.append(("└── " if last else "├── ") + head)
        lines += [("    " if last else "│   ") + line for line in rest]
    return lines


def test_the_tree_in_the_docstring() -> None:
    documented = [
        match[1]
        for match in re.finditer(
            r"^    ([│├└─ ]*\w+(?:Error)\b)", inspect.getdoc(errors) or "", re.M
        )
    ]

    assert documented == tree(RunIsolationError)


CONCRETE = [
    error
    for error in vars(errors).values()
    if inspect.isclass(error)
    and issubclass(error, RunIsolationError)
    and dataclasses.is_dataclass(error)
]


@pytest.mark.parametrize("error", CONCRETE)
def test_every_field_shows(error: type[RunIsolationError]) -> None:
    values = {
        field.name: f"<{field.name}>"
        for field in dataclasses.fields(error)  # type: ignore[arg-type]  # all of CONCRETE are
    }
    if "code" in values:
        values["code"] = "AccessDeniedException"

    text = str(error(**values))

    assert text.endswith(".") or "<mend>" in text
    for name, value in values.items():
        if name not in ("failures", "attempt"):
            assert value in text, name


def test_every_launch_error_says_what_may_follow() -> None:
    assert all(error.retry in Retry for error in LaunchError.__subclasses__())


def test_failures_show() -> None:
    failures = [errors.Failure("RESOURCE:MEMORY", arn="arn:x"), errors.Failure("AGENT")]

    text = str(errors.LaunchFailedError("run-a", 2, failures))

    assert "attempt 2 of run run-a: RESOURCE:MEMORY arn:x; AGENT." in text
