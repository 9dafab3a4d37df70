"""What is wrong with a config, told so that it can be mended without reading the source."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from types import UnionType
from typing import Any, Final, Self, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from infra.config.fields import nearest_text
from run_isolation import problem

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


class Problem(problem.Problem):
    """One thing that is wrong with the config."""

    def hidden(self) -> Self:
        """The same without what the user wrote, which is a secret."""
        return replace(self, value=SECRET, nearest=None)

    @property
    def top(self) -> str:
        """The top-level key that it is below."""
        return self.key.removeprefix(f"{NAMESPACE}:").partition(".")[0]


class ConfigError(Exception):
    """The config can't be used. Says everything that is wrong with it."""

    def __init__(self, stack: str, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        title = f"{count} in the config of stack {stack}, stacks/Pulumi.{stack}.yaml"
        super().__init__("\n\n".join([title, *map(str, self.problems)]))


def problems(
    error: ValidationError,
    model: type[BaseModel],
    secret: set[str],
    *,
    below: tuple[str, ...] = (),
) -> list[Problem]:
    """What pydantic found, in our words.

    Args:
        error: What validating the config against ``model`` raised.
        model: The model of the whole namespace, or of a part of it.
        secret: Top-level keys whose values must not be shown.
        below: Where the part is.
    """
    return [_problem(details, model, secret, below) for details in error.errors(include_url=False)]


def _problem(
    details: ErrorDetails, model: type[BaseModel], secret: set[str], below: tuple[str, ...]
) -> Problem:
    path = tuple(part for part in details["loc"] if part != "[key]")
    context = details.get("ctx", {})
    value = context.get("value", details["input"])
    problem_type = details["type"]
    nearest = context.get("nearest")
    if problem_type == "missing":
        value, allowed = MISSING, _description(model, path)
    elif problem_type == "extra_forbidden":
        allowed, nearest = _other_keys(_model_at(model, path[:-1]), str(path[-1]))
    elif problem_type == "literal_error":
        choices = get_args(_without_none(_field(_model_at(model, path[:-1]), path[-1]).annotation))
        allowed, nearest = ", ".join(choices), nearest_text(str(value), choices)
    elif problem_type in {"greater_than_equal", "less_than_equal"}:
        allowed, nearest = _bound(_model_at(model, path[:-1]), str(path[-1]), context)
    else:
        allowed = context.get("allowed") or _ALLOWED.get(problem_type, details["msg"])
        if problem_type == "string_type" and isinstance(value, bool | int | float):
            nearest = f'"{str(value).lower()}"'
    if context.get("of_parent"):
        path = path[:-1]
    path = (*below, *_as_written(model, path))
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
    end = str(context.get("ge", context.get("le")))
    return f"{bounds['ge']} to {bounds['le']}" if "le" in bounds else f"{end} or more", end


def _description(model: type[BaseModel], path: tuple[int | str, ...]) -> str:
    description = _field(_model_at(model, path[:-1]), path[-1]).description
    return f"required: {description}" if description else "required"


def _other_keys(model: type[BaseModel], key: str) -> tuple[str, str | None]:
    """What may stand in place of a key: nothing, or one that there is."""
    refused: Mapping[str, str] = getattr(model, "refused_keys", {})
    if key in refused:
        return refused[key], None
    keys = [field.alias or name for name, field in model.model_fields.items()]
    close = get_close_matches(key, keys, n=1)
    return f"one of the keys {', '.join(keys)}", close[0] if close else None


def _field(model: type[BaseModel], key: int | str) -> Any:
    return next(field for name, field in model.model_fields.items() if key in (name, field.alias))


def _model_at(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """The model of the mapping at this path: through fields, optional ones, lists and mappings."""
    found: Any = model
    for key in path:
        inner = get_origin(found) in (dict, list)
        found = _without_none(get_args(found)[-1] if inner else _field(found, key).annotation)
    assert isinstance(found, type)  # noqa: S101  # every mapping with fixed keys is a model
    return found


def _as_written(model: type[BaseModel], path: tuple[int | str, ...]) -> Iterator[int | str]:
    """The path by the names that users write; where a default is wrong, pydantic has its own."""
    found: Any = model
    for key in path:
        if get_origin(found) in (dict, list):
            found, written = get_args(found)[-1], key
        else:
            fields = getattr(found, "model_fields", {})
            field = fields.get(key)
            written = (field.alias or key) if field else key
            known = [one for name, one in fields.items() if key in (name, one.alias)]
            found = known[0].annotation if known else None
        found = _without_none(found)
        yield written


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    return next(choice for choice in get_args(annotation) if choice is not type(None))
