"""Random policies and requests, in a form that the oracle and our evaluator both take.

Values are drawn from few, so that what is wanted and what is given often agree.
"""

from __future__ import annotations

import base64
from random import Random
from typing import Any, Final

ACCOUNT: Final = "123456789012"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/worker"
SESSION: Final = f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/session"

_ACTIONS: Final = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
_ACTION_PATTERNS: Final = (*_ACTIONS, "s3:*", "s3:Get*", "s3:?etObject", "S3:getobject", "*")
_KEYS: Final = ("a/b", "a/B", "a/worker/x", "aXb", "red/b", "a")
_RESOURCES: Final = tuple(f"arn:aws:s3:::bucket/{key}" for key in _KEYS)
_RESOURCE_PATTERNS: Final = (
    *_RESOURCES[:3],
    "arn:aws:s3:::bucket/*",
    "arn:aws:s3:::bucket/a/?",
    "arn:aws:s3:::buck*",
    "arn:aws:s3:*:*:bucket/a*",
    "*",
    "arn:aws:s3:::bucket/${aws:PrincipalTag/color}/b",
    "arn:aws:s3:::bucket/${aws:PrincipalTag/none, 'a'}/*",
    "arn:aws:s3:::bucket/a${*}b",
)
_PRINCIPALS: Final[tuple[Any, ...]] = (
    "*",
    {"AWS": "*"},
    {"AWS": ROLE},
    {"AWS": [SESSION]},
    {"AWS": ACCOUNT},
    {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    {"AWS": f"arn:aws:iam::{ACCOUNT}:role/other"},
    {"Service": "ecs-tasks.amazonaws.com"},
)

_STRINGS: Final = ("red", "Red", "blue", "r*", "red?", "")
_NUMBERS: Final = ("1", "2", "2.0", "10", "-3", "2.50")
_DATES: Final = (
    "2026-01-01T00:00:00Z",
    "2026-06-15T12:30:00Z",
    "2026-06-15T12:30:00+02:00",
    "2026-06-15",
)
_ADDRESSES: Final = ("10.0.0.1", "10.0.1.1", "192.168.0.7", "2001:db8::1")
_NETWORKS: Final = ("10.0.0.0/24", "10.0.0.0/8", "192.168.0.7/32", "2001:db8::/32", "0.0.0.0/1")
_ARNS: Final = (
    "arn:aws:s3:::bucket",
    "arn:aws:sns:us-east-1:123456789012:topic",
    "arn:aws:ecs:us-east-1:123456789012:task/c/1",
)
_ARN_PATTERNS: Final = (
    *_ARNS,
    "arn:aws:s3:::buck*",
    "arn:aws:*:us-east-1:123456789012:*",
    "arn:aws:sns:us-east-?:123456789012:topic",
)
_BLOBS: Final = tuple(base64.b64encode(one).decode() for one in (b"one", b"two"))
_SCALE: Final = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan")

#: Keys, with the operators of their type, what requests have, and what policies have.
_FAMILIES: Final[tuple[tuple[tuple[str, ...], tuple[str, ...], Any, Any], ...]] = (
    (
        ("aws:PrincipalTag/color", "aws:userid", "AWS:principaltag/COLOR"),
        (
            *("StringEquals", "StringNotEquals", "StringLike", "StringNotLike"),
            *("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
        ),
        (*_STRINGS[:3], "r*", "redx"),
        (*_STRINGS, "${aws:userid}", "${aws:PrincipalTag/none, 'red'}"),
    ),
    (
        ("aws:MultiFactorAuthAge",),
        tuple(f"Numeric{one}" for one in (*_SCALE, "GreaterThanEquals")),
        _NUMBERS,
        _NUMBERS,
    ),
    (
        ("aws:CurrentTime", "aws:TokenIssueTime"),
        tuple(f"Date{one}" for one in (*_SCALE, "GreaterThanEquals")),
        _DATES,
        _DATES,
    ),
    (("aws:SecureTransport", "aws:ViaAWSService"), ("Bool",), ("true", "false"), ("true", "false")),
    (("aws:SourceIp",), ("IpAddress", "NotIpAddress"), _ADDRESSES, _NETWORKS),
    (
        ("aws:SourceArn",),
        ("ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"),
        _ARNS,
        _ARN_PATTERNS,
    ),
    (("aws:userid",), ("BinaryEquals",), _BLOBS, _BLOBS),
)
_MANY: Final = "aws:TagKeys"


def case(random: Random) -> dict[str, Any]:
    """One request with the policies that decide about it."""
    return {
        "principal": SESSION,
        "account": ACCOUNT,
        "action": random.choice(_ACTIONS),
        "resource": random.choice(_RESOURCES),
        "context": _context(random),
        "identity": [_policy(random) for _ in range(random.randint(0, 2))],
        "resource_policy": _policy(random, principals=True) if random.random() < 0.5 else None,
    }


def _context(random: Random) -> dict[str, Any]:
    context: dict[str, Any] = {"aws:PrincipalAccount": ACCOUNT}
    for keys, _, given, _ in _FAMILIES:
        for key in keys:
            if random.random() < 0.6 and not key.startswith("AWS:"):
                context[key] = random.choice(given)
    if random.random() < 0.7:
        context[_MANY] = random.sample(_STRINGS[:3], random.randint(0, 3))
    return context


def _policy(random: Random, *, principals: bool = False) -> dict[str, Any]:
    statements = [_statement(random, principals) for _ in range(random.randint(1, 3))]
    # The oracle takes variables for such in policies of the older version, too, which has none.
    new = "${" in repr(statements) or random.random() < 0.9
    return {"Version": "2012-10-17" if new else "2008-10-17", "Statement": statements}


def _statement(random: Random, principals: bool) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow" if random.random() < 0.75 else "Deny"}
    actions = "NotAction" if random.random() < 0.15 else "Action"
    statement[actions] = _one_or_more(random, _ACTION_PATTERNS)
    resources = "NotResource" if random.random() < 0.15 else "Resource"
    statement[resources] = _one_or_more(random, _RESOURCE_PATTERNS)
    if principals:
        negated = statement["Effect"] == "Deny" and random.random() < 0.3
        statement["NotPrincipal" if negated else "Principal"] = random.choice(
            _PRINCIPALS[2:7] if negated else _PRINCIPALS
        )
    conditions: dict[str, Any] = {}
    for _ in range(random.choice((0, 0, 1, 1, 2, 3))):
        name, key, values = _condition(random)
        conditions.setdefault(name, {})[key] = values
    if conditions:
        statement["Condition"] = conditions
    return statement


def _condition(random: Random) -> tuple[str, str, Any]:
    if random.random() < 0.12:
        key = random.choice([_MANY, *(key for keys, *_ in _FAMILIES for key in keys)])
        return "Null", key, random.choice(("true", "false"))
    keys, operators, _, wanted = random.choice(_FAMILIES)
    if_exists = "IfExists" if random.random() < 0.3 else ""
    if random.random() < 0.3:
        keys, operators, _, wanted = _FAMILIES[0]
        quantifier = random.choice(("ForAllValues:", "ForAnyValue:"))
        name = f"{quantifier}{random.choice(operators)}{if_exists}"
        return name, _MANY, _one_or_more(random, wanted)
    values = _one_or_more(random, wanted)
    return random.choice(operators) + if_exists, random.choice(keys), values


def _one_or_more(random: Random, choices: tuple[str, ...]) -> Any:
    if random.random() < 0.6:
        return random.choice(choices)
    return random.sample(choices, random.randint(1, min(3, len(choices))))
