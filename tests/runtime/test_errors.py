"""The tree at the top of errors.py is the tree of the code, and every error says what to do."""

import dataclasses
import inspect
import re
from typing import Any

import pytest

from run_isolation import errors
from run_isolation.errors import RunIsolationError
from run_isolation.problem import Problem
from run_isolation.retry import Meaning, Retry


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
    values: dict[str, Any] = {
        field.name: f"<{field.name}>"
        for field in dataclasses.fields(error)  # type: ignore[arg-type]  # all of CONCRETE are
    }
    if "code" in values:
        values["code"] = "AccessDeniedException"
    if "problems" in values:
        values["problems"] = [Problem("<key>", "<value>", "<allowed>", "<nearest>")]
    if "malformed" in values:
        values["malformed"] = {"<run id>": "<malformed>"}
    if "meaning" in values:
        values["meaning"] = Meaning("<says>", Retry.NEVER, "<mend>.")

    text = str(error(**values))

    assert text.endswith(".") or "<mend>" in text
    for value in expected(values):
        assert value in text, value


def expected(values: dict[str, Any]) -> list[str]:
    shown = [value for name, value in values.items() if name not in ("attempt", "code")]
    flat: list[str] = []
    for value in shown:
        if isinstance(value, Meaning):
            flat += [value.says, value.mend]
        elif isinstance(value, list):
            flat += [text for problem in value for text in dataclasses.astuple(problem)]
        elif isinstance(value, dict):
            flat += [text for pair in value.items() for text in pair]
        else:
            flat.append(value)
    return flat


def test_what_may_follow_a_launch_that_failed() -> None:
    for retry in Retry:
        error = errors.LaunchFailedError("run-a", 1, "no.", Meaning("It failed.", retry, "Wait."))
        assert error.retry is retry
    assert errors.LaunchTagsError("run-a", []).retry is Retry.NEVER


def test_each_problem_with_a_tag_is_told_with_what_comes_nearest() -> None:
    problems = [
        Problem("ecs/cpu", "3000", "256, 512", "512"),
        Problem("ecs/run_task_kwargs.count", "2", "nothing: a run has one task"),
    ]

    assert str(errors.LaunchTagsError("run-a", problems)) == (
        "Run run-a was not launched: its tags ask for what it can't have.\n\n"
        "ecs/cpu: 3000\n  allowed: 256, 512\n  nearest: 512\n\n"
        "ecs/run_task_kwargs.count: 2\n  allowed: nothing: a run has one task\n\n"
        "Mend the tags, where the run or its job has them, and launch the run again."
    )
