"""What the engine asks of every resource type: check, diff, create, read, update, delete.

Free of gRPC: plain values in, plain values out.
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from botocore.exceptions import ClientError
from pulumi.runtime.rpc import UNKNOWN

from localaws.provider.aws import Aws, says_gone
from localaws.provider.resource import ResourceType
from localaws.provider.wire import InitFailedError, Props, is_unknown


@dataclass(frozen=True)
class Problem:
    """An input that can't be accepted, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Diff:
    """Input properties that differ from what exists.

    Args:
        changed: Each property that differs, and whether it replaces the resource.
        delete_first: The old resource has to go before the new one can be made.
    """

    changed: dict[str, bool]
    delete_first: bool


def check(kind: ResourceType, inputs: Props, region: str) -> tuple[Props, list[Problem]]:
    """Fill in the defaults, and name every input that can't be accepted.

    Args:
        kind: The resource type.
        inputs: What the program wrote.
        region: The engine's region, for a resource that names none.
    """
    given = {name: value for name, value in inputs.items() if value is not None}
    filled = deepcopy(given)
    for path, default in kind.handler.defaults.items():
        _fill(filled, path.split("."), default)
    if kind.handler.regional:
        filled.setdefault("region", region)
    problems = [
        Problem(name, f"{kind.token} needs the property {name}.")
        for name in kind.handler.required
        if name not in given
    ]
    problems += _unknown_names(kind, "", given, kind.inputs)
    return filled, problems


def _fill(inputs: Any, path: list[str], default: Any) -> None:
    """Set a missing property; a field inside a block only where there is such a block."""
    if not isinstance(inputs, dict):
        return
    if path[1:]:
        _fill(inputs.get(path[0]), path[1:], default)
    else:
        inputs.setdefault(path[0], default)


def _unknown_names(
    kind: ResourceType, path: str, value: Any, allowed: tuple[str, ...]
) -> Iterator[Problem]:
    for name, inner in value.items():
        here = f"{path}.{name}".removeprefix(".")
        if name not in allowed:
            yield Problem(here, _not_implemented(kind.token, here, name, allowed))
        elif here in kind.handler.nested:
            for block in inner if isinstance(inner, list) else [inner]:
                if isinstance(block, dict):
                    yield from _unknown_names(kind, here, block, kind.handler.nested[here])


def _not_implemented(token: str, path: str, name: str, allowed: tuple[str, ...]) -> str:
    close = get_close_matches(name, allowed, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return (
        f"The local account's stand-in provider does not implement {path} of {token}.{hint} "
        f"It knows: {', '.join(sorted(allowed))}."
    )


def diff(
    kind: ResourceType, state: Props, old_inputs: Props, new: Props, ignored: Iterable[str] = ()
) -> Diff:
    """Compare what exists with what the program wants.

    Args:
        kind: The resource type.
        state: What exists, as last read.
        old_inputs: What the program wanted before, after `check`.
        new: What it wants now, after `check`. Values may be unknown yet: those count as changed.
        ignored: Property paths that the program told the engine to ignore.
    """
    skipped = {path.split(".")[0].split("[")[0] for path in ignored}
    changed = {
        name: _replaces(kind, name, state.get(name), new.get(name))
        for name in sorted(kind.inputs)
        if name not in skipped and _differs(kind, name, state, old_inputs, new)
    }
    keeps_name = kind.name is not None and not changed.get(kind.name, False)
    return Diff(changed, delete_first=keeps_name and any(changed.values()))


def _differs(kind: ResourceType, name: str, state: Props, old_inputs: Props, new: Props) -> bool:
    if name not in new and (name not in old_inputs or name in kind.outputs):
        return False  # the program never said, or AWS decides from now on
    wanted = new.get(name)
    return is_unknown(wanted) or not kind.same(name, state.get(name), wanted)


def _replaces(kind: ResourceType, name: str, old: Any, new: Any) -> bool:
    if name in kind.replaces or (f"{name}?" in kind.replaces and (old is None) != (new is None)):
        return True
    inner = [path.split(".")[1:] for path in kind.replaces if path.startswith(f"{name}.")]
    return any(_pluck(old, path) != _pluck(new, path) for path in inner)


def _pluck(value: Any, path: list[str]) -> Any:
    """The value at a path; from a list, the values of all its elements."""
    if isinstance(value, list):
        return [_pluck(inner, path) for inner in value]
    if not path:
        return value
    return _pluck(value.get(path[0]), path[1:]) if isinstance(value, dict) else None


def preview(kind: ResourceType, old: Props, new: Props) -> Props:
    """What the state would be, as far as it is known. `old` is empty before a create."""
    later = kind.handler.changing if old else kind.outputs
    kept = {name: value for name, value in old.items() if name not in kind.inputs}
    state = {**kept, **dict.fromkeys(later, UNKNOWN), **new}
    for name in kind.outputs:  # what the program leaves to AWS stays as it is
        if name in old and name not in new and name not in later:
            state[name] = old[name]
    if kind.handler.tagged:
        state["tagsAll"] = new.get("tags", {})
    return state


def create(kind: ResourceType, aws: Aws, inputs: Props) -> tuple[str, Props]:
    """Make a resource; returns its id and state.

    Raises:
        InitFailedError: It was made but did not become ready.
    """
    resource_id = kind.handler.create(aws, inputs)
    try:
        kind.handler.finish(aws, resource_id, inputs)
    except Exception as error:
        state = read(kind, aws, resource_id, inputs) or inputs
        raise InitFailedError(str(error), resource_id, inputs, state) from error
    return resource_id, _must_exist(kind, aws, resource_id, inputs)


def read(kind: ResourceType, aws: Aws, resource_id: str, known: Props) -> Props | None:
    """The state of a resource, or None when it is gone.

    Where AWS answers what is already known, written differently, the known writing stays: the
    order of keys in a policy is no drift.
    """
    try:
        found = kind.handler.read(aws, resource_id, known)
    except ClientError as error:
        if says_gone(error):
            return None
        raise
    if found is None:
        return None
    for name in kind.handler.remembered:
        if found.get(name) is None:
            found[name] = known.get(name)
    for name in kind.inputs:
        if known.get(name) is not None and kind.same(name, found.get(name), known[name]):
            found[name] = known[name]
    if kind.handler.tagged:
        found["tagsAll"] = found.get("tags", {})
    if kind.handler.regional:
        found["region"] = aws.region
    state = {name: value for name, value in found.items() if value is not None}
    # An import may name a resource otherwise than by its id.
    return {"id": resource_id, **state}


def inputs_of(kind: ResourceType, state: Props, old_inputs: Props) -> Props:
    """The inputs that would give this state: at a refresh those given before, else all set ones."""
    names = old_inputs or [name for name in kind.inputs if state.get(name) not in ("", [], {})]
    return {name: state[name] for name in names if name in state}


def update(
    kind: ResourceType, aws: Aws, resource_id: str, state: Props, old_inputs: Props, new: Props
) -> Props:
    """Change a resource in place; returns its new state."""
    changed = set(diff(kind, state, old_inputs, new).changed)
    if not changed:  # the engine retries a create that did not become ready
        kind.handler.finish(aws, resource_id, new)
    if "tags" in changed:
        tags = new.get("tags", {})
        removed = [key for key in state.get("tags", {}) if key not in tags]
        kind.handler.retag(aws, {**state, "id": resource_id}, removed, tags)
    if rest := changed - {"tags"}:
        kind.handler.update(aws, resource_id, state, new, rest)
    kept = {name: value for name, value in state.items() if name not in kind.inputs}
    return _must_exist(kind, aws, resource_id, {**kept, **new})


def _must_exist(kind: ResourceType, aws: Aws, resource_id: str, known: Props) -> Props:
    state = read(kind, aws, resource_id, known)
    if state is None:
        raise LookupError(f"{kind.token} {resource_id} is gone just after it was written.")
    return state


def delete(kind: ResourceType, aws: Aws, resource_id: str, state: Props) -> None:
    """Delete a resource; one that is gone already is no error."""
    try:
        kind.handler.delete(aws, resource_id, state)
    except ClientError as error:
        if not says_gone(error):
            raise
