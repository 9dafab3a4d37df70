"""The decisions of an end-to-end run, once each and without ids: `record.json` beside this file.

`make rights` writes it. It has what is needed to decide again, on any deployment: names of stack,
account and code location are placeholders. Left out are keys that follow users' tags and the text
of expressions, about which no policy of ours says anything: they would make every run another one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localaws.iam.decisions import Ruling
from localaws.iam.needs.ecs import TASKS

RECORD: Final = Path(__file__).with_name("record.json")
ECS: Final = "ecs"
"""Who takes on a task's roles."""
LAUNCHER: Final = "launcher"
"""Webserver and daemon."""

_ACTORS: Final = ("standing", "isolated", "execution")
_KINDS: Final = f"(?:{'|'.join(_ACTORS)})"
#: Of the keys that every request has, those that trust policies ask for.
_OF_TRUST: Final = ("aws:sourcearn", "aws:sourceaccount")
_LEFT_OUT: Final = re.compile(
    r"aws:(?!source(arn|account)$)|ecs:resourcetag/|dynamodb:(attributes|returnvalues|select)$"
)
_ATTRIBUTES: Final = "dynamodb:attributes"
_TAGS: Final = "aws:resourcetag/run-isolation:"
_LOCATION_TAG: Final = f"{_TAGS}code-location"
#: What the parts of a name that differ from run to run are called, in this order.
_PLACEHOLDERS: Final = (
    (r"arn:aws:secretsmanager:\S+", "{database}"),
    (r"(?<=:)us-east-1(?=:)", "{region}"),
    (r"\b000000000000\b", "{account}"),
    # The bucket of compute logs is a user's own there, with this name.
    (r"(?<=s3:::run-isolation-\{stack\}-)logs\b", "compute-logs-{account}"),
    (r"(s3:::[^/]+-outputs-[^/]+/\{stack\}/|s3:::[^/]+/).+", r"\1{key}"),
    (r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{32}\b", "{id}"),
    (rf"(run-isolation-\{{stack\}}-)[\w-]+(?=-{_KINDS}\b)", r"\1{location}"),
    (r"(/run-isolation/\{stack\}/)[\w-]+(?=:log-stream)", r"\1{location}"),
    (r"(service/run-isolation-\{stack\}/)[\w-]+", r"\1{location}"),
    (r"(?<=-isolated):\d+$", ":{revision}"),
    (r"^claim#.+", "claim#{id}"),
    (r"^instance#.+", "instance#{id}"),
    (r"^in:.+", "in:{location}"),
    (r"(?<=:service/)srv-\w+", "{id}"),
)


@dataclass(frozen=True, order=True)
class Decision:
    """One decision.

    Attributes:
        actor: Whose role asked: a kind of task, `execution`, LAUNCHER or ECS.
        action: For what.
        resource: On what.
        context: The condition keys that the call gave, in lower case, with one or more values.
        by: The statement that allowed it; empty where it was denied.
    """

    actor: str
    action: str
    resource: str
    context: tuple[tuple[str, tuple[str, ...]], ...]
    by: str

    @property
    def grant(self) -> str:
        """Which grant of a policy it used."""
        policy = "launcher-roles" if self.action == "iam:PassRole" else self.actor
        return f"{policy}:{self.by} {self.action}"

    def to_json(self) -> str:
        """One line."""
        context = {key: values[0] if len(values) == 1 else values for key, values in self.context}
        return json.dumps({**vars(self), "context": context})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Decision:
        """What `to_json` wrote."""
        context = tuple((key, as_values(value)) for key, value in content["context"].items())
        return cls(**{**content, "context": context})


def decision(ruling: Ruling, stack: str) -> Decision | None:
    """A ruling about one stack's roles; None where it is about others."""
    actor = _actor(ruling, stack)
    if actor is None:
        return None
    context = tuple(
        (key, tuple(_value(key, value, stack) for value in as_values(values)))
        for key, values in sorted(ruling.context.items())
        if key in _OF_TRUST or not _left_out(key, ruling.action, actor)
    )
    resource = _general(ruling.resource, stack)
    by = sid(ruling.by.rpartition(":")[2])
    return Decision(actor, ruling.action, resource, context, by if ruling.allowed else "")


def sid(name: str) -> str:
    """A statement's name, of all sizes alike."""
    return re.sub(r"\d+Cpu\d+MiB", "…", name)


def as_values(values: Any) -> tuple[str, ...]:
    """A context key's value or values."""
    return (values,) if isinstance(values, str) else tuple(values)


def read(path: Path = RECORD) -> list[Decision]:
    """The decisions in a file."""
    return [Decision.from_json(one) for one in json.loads(path.read_text())]


def write(decisions: Iterable[Decision], path: Path = RECORD) -> None:
    """Write each decision once, in an order that is always the same."""
    lines = ",\n".join(one.to_json() for one in sorted(set(decisions)))
    path.write_text(f"[\n{lines}\n]\n")


def _actor(ruling: Ruling, stack: str) -> str | None:
    if ruling.caller == TASKS:
        return ECS if f"run-isolation-{stack}-" in ruling.resource else None
    if ruling.role.endswith(f"/{stack}-control-plane"):
        return LAUNCHER
    kind = ruling.role.rpartition("-")[2]
    known = kind in (*_ACTORS, LAUNCHER)
    return kind if f"run-isolation-{stack}-" in ruling.role and known else None


def _left_out(key: str, action: str, actor: str) -> bool:
    # Standing containers may name some attributes of the slots item only.
    if key == _ATTRIBUTES and (action, actor) == ("dynamodb:UpdateItem", "standing"):
        return False
    # Cloud Map makes ids of its own: its services are told by their tags alone.
    if action.startswith("servicediscovery:") and key.startswith(_TAGS):
        return False
    return _LEFT_OUT.match(key) is not None


def _value(key: str, value: str, stack: str) -> str:
    return "{location}" if key == _LOCATION_TAG else _general(value, stack)


def _general(text: str, stack: str) -> str:
    text = re.sub(rf"\b{re.escape(stack)}\b", "{stack}", text)
    for pattern, placeholder in _PLACEHOLDERS:
        text = re.sub(pattern, placeholder, text)
    return text
