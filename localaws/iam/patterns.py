"""Wildcards, ARNs and policy variables.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

#: Context keys in lower case to the request's values; a tuple where the key may have several.
Context: TypeAlias = Mapping[str, str | Sequence[str]]

#: `${key}` or `${key, 'default'}`.
_VARIABLE: Final = re.compile(r"\$\{\s*([^},]+?)\s*(?:,\s*'([^']*)'\s*)?\}")
#: `${*}`, `${?}` and `${$}` are the characters themselves.
_LITERALS: Final = frozenset("*?$")
_ARN_PARTS: Final = 6


class UnresolvedVariableError(Exception):
    """A policy variable has neither a value in this request nor a default."""


class Text:
    """A text of a policy: a pattern that may have wildcards and variables.

    Args:
        raw: As the policy has it.
        variables: Whether the policy's version has variables.
        wildcards: Whether `*` and `?` stand for others; otherwise for themselves.
    """

    __slots__ = ("_pieces", "_wildcards", "fixed")

    def __init__(self, raw: str, *, variables: bool, wildcards: bool = True) -> None:
        self._wildcards = wildcards
        self._pieces = _split(raw) if variables and "${" in raw else [(raw, False)]
        #: The pattern, where it is the same for all requests.
        self.fixed: str | None = None
        if all(not is_variable for _, is_variable in self._pieces):
            self.fixed = "".join(self._quote(piece, False) for piece, _ in self._pieces)

    def resolve(self, context: Context) -> str:
        """Return the pattern with this request's values, whose `*` and `?` are no wildcards.

        Raises:
            UnresolvedVariableError: A variable has no value, or several.
        """
        if self.fixed is not None:
            return self.fixed
        return "".join(
            self._quote(*_value(piece, context)) if is_variable else self._quote(piece, False)
            for piece, is_variable in self._pieces
        )

    def _quote(self, text: str, literal: bool) -> str:
        # Wildcards that stand for themselves are marked by a NUL, which no policy may hold.
        if literal or not self._wildcards:
            return text.replace("*", "\0*").replace("?", "\0?")
        return text


def _split(raw: str) -> list[tuple[str, bool]]:
    pieces: list[tuple[str, bool]] = []
    position = 0
    for found in _VARIABLE.finditer(raw):
        pieces.append((raw[position : found.start()], False))
        pieces.append((found.group(0), True))
        position = found.end()
    pieces.append((raw[position:], False))
    return [piece for piece in pieces if piece[0]]


def _value(variable: str, context: Context) -> tuple[str, bool]:
    found = _VARIABLE.fullmatch(variable)
    if found is None:
        raise ValueError(f"{variable} is no policy variable")
    name, default = found.groups()
    if name in _LITERALS:
        return name, True
    value = context.get(name.lower(), default)
    if not isinstance(value, str):
        raise UnresolvedVariableError(variable)
    return value, True


@lru_cache(maxsize=4096)
def _regex(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    parts = re.findall(r"\0.|[*?]|[^\0*?]+", pattern, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    text = "".join(wild[one] if one in wild else re.escape(one.lstrip("\0")) for one in parts)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def matches(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Whether a text fits a pattern with `*` (any characters) and `?` (any one)."""
    if pattern == "*" or pattern == text:
        return True
    return _regex(pattern, ignore_case).fullmatch(text) is not None


def arn_matches(pattern: str, arn: str) -> bool:
    """Whether an ARN fits a pattern; each of the six parts between colons by itself.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
    """
    if pattern == "*":
        return True
    wanted, given = pattern.split(":", _ARN_PARTS - 1), arn.split(":", _ARN_PARTS - 1)
    if len(wanted) != _ARN_PARTS or len(given) != _ARN_PARTS:
        return False
    return all(matches(one, other) for one, other in zip(wanted, given, strict=True))
