"""IAM's condition operators, each as a comparison of one value of the request with one of a policy.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import base64
import ipaddress
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

from localaws.iam.patterns import arn_matches, matches

#: (the request's value, the policy's) -> whether they agree. Raises ValueError where one of them
#: can't be read.
Comparison: TypeAlias = Callable[[str, str], bool]

#: "Integer or decimal value".
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator.

    Attributes:
        agrees: Compares one value with another, without the operator's `Not`.
        negated: Whether the operator holds where none of the policy's values agrees.
        variables: Whether the policy's values may hold variables.
        wildcards: Whether the policy's values may hold `*` and `?`.
    """

    agrees: Comparison
    negated: bool = False
    variables: bool = False
    wildcards: bool = False


def _plain(pattern: str) -> str:
    return pattern.replace("\0", "")


def _equals(given: str, wanted: str) -> bool:
    return given == _plain(wanted)


def _equals_ignoring_case(given: str, wanted: str) -> bool:
    return given.lower() == _plain(wanted).lower()


def _like(given: str, wanted: str) -> bool:
    return matches(wanted, given)


def _arn_like(given: str, wanted: str) -> bool:
    if not given.startswith("arn:"):
        raise ValueError(given)
    return arn_matches(wanted, given)


def _boolean(given: str, wanted: str) -> bool:
    return given.lower() == wanted.lower() and wanted.lower() in ("true", "false")


def _binary(given: str, wanted: str) -> bool:
    return base64.b64decode(given, validate=True) == base64.b64decode(wanted, validate=True)


@lru_cache(maxsize=1024)
def _network(text: str) -> Any:
    return ipaddress.ip_network(text, strict=False)


def _in_network(given: str, wanted: str) -> bool:
    return ipaddress.ip_address(given) in _network(wanted)


def _ordered(read: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Comparison:
    def agrees(given: str, wanted: str) -> bool:
        return compare(read(given), read(wanted))

    return agrees


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


@lru_cache(maxsize=1024)
def _moment(text: str) -> datetime:
    """Read a date of W3C's ISO 8601 profile, or seconds since the epoch."""
    if text.lstrip("-").isdigit() and len(text) > len("YYYY"):
        return datetime.fromtimestamp(int(text), UTC)
    # A year, or a year and a month, is its beginning.
    parts = text.count("-") if "T" not in text else 2
    moment = datetime.fromisoformat(text + "-01" * (2 - parts))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _both(name: str, agrees: Comparison, **more: bool) -> dict[str, Operator]:
    return {
        f"{name}Equals": Operator(agrees, **more),
        f"{name}NotEquals": Operator(agrees, negated=True, **more),
    }


def _scale(name: str, read: Callable[[str], Any]) -> dict[str, Operator]:
    return {
        **_both(name, _ordered(read, operator.eq)),
        f"{name}LessThan": Operator(_ordered(read, operator.lt)),
        f"{name}LessThanEquals": Operator(_ordered(read, operator.le)),
        f"{name}GreaterThan": Operator(_ordered(read, operator.gt)),
        f"{name}GreaterThanEquals": Operator(_ordered(read, operator.ge)),
    }


_PATTERN: Final = {"variables": True, "wildcards": True}

#: All but `Null`, which asks for the key and not for its value.
OPERATORS: Final[dict[str, Operator]] = {
    **_both("String", _equals, variables=True),
    "StringEqualsIgnoreCase": Operator(_equals_ignoring_case, variables=True),
    "StringNotEqualsIgnoreCase": Operator(_equals_ignoring_case, negated=True, variables=True),
    "StringLike": Operator(_like, **_PATTERN),
    "StringNotLike": Operator(_like, negated=True, **_PATTERN),
    **_scale("Numeric", _number),
    **_scale("Date", _moment),
    "Bool": Operator(_boolean),
    "BinaryEquals": Operator(_binary),
    "IpAddress": Operator(_in_network),
    "NotIpAddress": Operator(_in_network, negated=True),
    # "ArnEquals and ArnLike behave identically."
    **_both("Arn", _arn_like, **_PATTERN),
    "ArnLike": Operator(_arn_like, **_PATTERN),
    "ArnNotLike": Operator(_arn_like, negated=True, **_PATTERN),
}
