"""When two values of a property mean the same, although they are written differently."""

import json
from collections.abc import Callable, Mapping
from typing import Any

Same = Callable[[Any, Any], bool]


def exactly(old: Any, new: Any) -> bool:
    """Equal, where an empty value and no value are the same thing."""
    return bool(_plain(old) == _plain(new))


def as_json(old: Any, new: Any) -> bool:
    """Equal as JSON documents: white space and the order of keys don't count."""
    return bool(_parsed(old) == _parsed(new))


def as_policy(old: Any, new: Any) -> bool:
    """Equal as IAM policies: a list of one is the same as its element, and lists have no order.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
    """
    return bool(_policy(_parsed(old)) == _policy(_parsed(new)))


def unordered(old: Any, new: Any) -> bool:
    """Equal as sets of values."""
    return bool(_sorted(old) == _sorted(new))


def block(**defaults: Any) -> Same:
    """Equal as a block of settings, or a set of them, whose missing fields have `defaults`."""

    def same(old: Any, new: Any) -> bool:
        return bool(_sorted(_filled(old, defaults)) == _sorted(_filled(new, defaults)))

    return same


def as_containers(old: Any, new: Any) -> bool:
    """Equal as container definitions, once ECS's own defaults are filled in.

    The order of environment variables and secrets doesn't count:
    https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ecs/task_definition_equivalency.go
    """
    return bool(_containers(_parsed(old)) == _containers(_parsed(new)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _plain(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner is not None} or None
    if isinstance(value, list):
        return [_plain(inner) for inner in value] or None
    return None if value == "" else value


def _sorted(value: Any) -> Any:
    """Order every list inside the value, so that order no longer counts."""
    if isinstance(value, Mapping):
        return _plain({key: _sorted(inner) for key, inner in value.items()})
    if isinstance(value, list):
        return sorted((_sorted(inner) for inner in value), key=_text) or None
    return _plain(value)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value else value


def _policy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _policy(inner) for key, inner in value.items()}
    if isinstance(value, list):
        inner = sorted((_policy(item) for item in value), key=_text)
        return inner[0] if len(inner) == 1 else inner
    return value


def _filled(value: Any, defaults: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_filled(inner, defaults) for inner in value]
    return {**defaults, **value} if isinstance(value, Mapping) else value


# What ECS registers where the caller says nothing.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
_CONTAINER_DEFAULTS = {"cpu": 0, "essential": True}
_PORT_DEFAULTS = {"protocol": "tcp"}
_UNORDERED = ("environment", "secrets", "environmentFiles")


def _containers(definitions: Any) -> Any:
    return sorted((_container(one) for one in definitions or []), key=_text)


def _container(definition: Mapping[str, Any]) -> Any:
    filled = {**_CONTAINER_DEFAULTS, **definition}
    filled["portMappings"] = [_port(port) for port in filled.get("portMappings") or []]
    for key in _UNORDERED:
        filled[key] = _sorted(filled.get(key))
    return _plain(filled)


def _port(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    # In awsvpc mode, the host port is the container port.
    host = mapping.get("hostPort") or mapping.get("containerPort")
    return {**_PORT_DEFAULTS, **mapping, "hostPort": host}
