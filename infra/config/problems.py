"""What is wrong with a config, told so that it can be mended without reading the source."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

NAMESPACE: Final = "run-isolation"
MISSING: Final = "(missing)"
SECRET: Final = "(secret)"  # noqa: S105

_ALLOWED: Final = {
    "bool_type": "true or false, without quotes",
    "dict_type": "a mapping of keys to values",
    "int_type": "a whole number, without quotes",
    "list_type": "a list",
    "model_type": "a mapping of keys to values",
    "string_type": "text; put quotes around it",
}
"""What pydantic's own errors mean here, by type
(https://docs.pydantic.dev/latest/errors/validation_errors/)."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the config."""

    key: str
    """Path of the key, as the user wrote it: ``run-isolation:codeLocations.sales.image``."""
    value: str
    allowed: str
    nearest: str | None = None
    """The allowed value that is most like the one given, where there is one."""

    def __str__(self) -> str:
        lines = [f"{self.key}: {self.value}", f"  allowed: {self.allowed}"]
        if self.nearest is not None:
            lines.append(f"  nearest: {self.nearest}")
        return "\n".join(lines)


class ConfigError(Exception):
    """The config can't be used. Says everything that is wrong with it."""

    def __init__(self, stack: str, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        title = f"{count} in the config of stack {stack}, stacks/Pulumi.{stack}.yaml"
        super().__init__("\n\n".join([title, *map(str, self.problems)]))


def problems(error: ValidationError, model: type[BaseModel], secret: set[str]) -> list[Problem]:
    """What pydantic found, in our words.

    Args:
        error: What validating the config against ``model`` raised.
        model: The model of the whole namespace.
        secret: Top-level keys whose values must not be shown.
    """
    return [_problem(details, model, secret) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails, model: type[BaseModel], secret: set[str]) -> Problem:
    path = tuple(part for part in details["loc"] if part != "[key]")
    context = details.get("ctx", {})
    value = context.get("value", details["input"])
    problem_type = details["type"]
    nearest = context.get("nearest")
    if problem_type == "missing":
        value, allowed = MISSING, _description(model, path)
    elif problem_type == "extra_forbidden":
        keys = _keys(_model_at(model, path[:-1]))
        allowed = f"one of the keys {', '.join(keys)}"
        close = get_close_matches(str(path[-1]), keys, n=1)
        nearest = close[0] if close else None
    elif problem_type in {"greater_than_equal", "less_than_equal"}:
        allowed, nearest = _bound(_model_at(model, path[:-1]), str(path[-1]), context)
    else:
        allowed = context.get("allowed") or _ALLOWED.get(problem_type, details["msg"])
        if problem_type == "string_type" and isinstance(value, bool | int | float):
            nearest = f'"{str(value).lower()}"'
    if context.get("of_parent"):
        path = path[:-1]
    shown = SECRET if path and path[0] in secret else _show(value)
    return Problem(f"{NAMESPACE}:{'.'.join(map(str, path))}", shown, allowed, nearest)


def _show(value: object) -> str:
    if isinstance(value, str):
        return value if value else '""'
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def _bound(model: type[BaseModel], key: str, context: Mapping[str, Any]) -> tuple[str, str]:
    """What a number may be, and the end of the range that was passed."""
    bounds = {
        name: getattr(limit, name)
        for limit in _field(model, key).metadata
        for name in ("ge", "le")
        if hasattr(limit, name)
    }
    return f"{bounds['ge']} to {bounds['le']}", str(context.get("ge", context.get("le")))


def _description(model: type[BaseModel], path: tuple[int | str, ...]) -> str:
    description = _field(_model_at(model, path[:-1]), str(path[-1])).description
    return f"required: {description}"


def _field(model: type[BaseModel], key: str) -> Any:
    return next(field for name, field in model.model_fields.items() if key in (name, field.alias))


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """The model of the mapping at this path: through fields, optional ones, and mappings."""
    found: Any = model
    for key in path:
        found = (
            get_args(found)[1] if get_origin(found) is dict else _field(found, str(key)).annotation
        )
        choices = [choice for choice in get_args(found) if isinstance(choice, type)]
        if get_origin(found) is not dict and choices:
            found = next(choice for choice in choices if issubclass(choice, BaseModel))
    assert isinstance(found, type)  # noqa: S101  # every mapping with fixed keys is a model
    return found
