"""One condition of a statement: operator, key and values, and whether a request meets it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from localaws.iam.operators import OPERATORS, Operator
from localaws.iam.patterns import Context, Text, UnresolvedVariableError

_ALL, _ANY = "ForAllValues:", "ForAnyValue:"
_IF_EXISTS = "IfExists"


class PolicyError(ValueError):
    """A policy that IAM would not have taken."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One key under one operator.

    Attributes:
        name: The operator as the policy spells it.
        key: The context key, in lower case.
        values: The policy's values, of which one is enough (or, negated, none may agree).
        operator: How a value is compared; None for `Null`.
        quantifier: `ForAllValues:`, `ForAnyValue:` or nothing.
        if_exists: Whether a request without the key meets it.
    """

    name: str
    key: str
    values: tuple[Text, ...]
    operator: Operator | None
    quantifier: str = ""
    if_exists: bool = False

    def holds(self, context: Context) -> bool:
        """Whether the request meets it."""
        given = context.get(self.key)
        if self.operator is None:
            wanted = "true" if given is None else "false"
            return any((value.fixed or "").lower() == wanted for value in self.values)
        if given is None:
            return self._without_key(self.operator)
        if not self.quantifier:
            # A key that may have several values needs a quantifier.
            return isinstance(given, str) and self._one(self.operator, given, context)
        values = (given,) if isinstance(given, str) else given
        outcomes = (self._one(self.operator, value, context) for value in values)
        return all(outcomes) if self.quantifier == _ALL else any(outcomes)

    def _without_key(self, operator: Operator) -> bool:
        if self.quantifier:
            return self.quantifier == _ALL
        return self.if_exists or operator.negated

    def _one(self, operator: Operator, given: str, context: Context) -> bool:
        """Whether one of the request's values is as the operator wants it."""
        if not operator.negated:
            return any(_agrees(operator, given, one, context) for one in self.values)
        # Where a value makes no sense, the opposite of the operator makes none either.
        return all(_agrees(operator, given, one, context) is False for one in self.values)


def _agrees(operator: Operator, given: str, wanted: Text, context: Context) -> bool | None:
    """Whether two values agree; None where one of them can't be read."""
    try:
        return operator.agrees(given, wanted.resolve(context))
    except (UnresolvedVariableError, ValueError):
        return None


def parse(block: Mapping[str, Any], *, variables: bool) -> tuple[Condition, ...]:
    """Return the conditions of a statement's `Condition`, all of which must hold.

    Args:
        block: Operators to keys to a value or a list of them.
        variables: Whether the policy's version has variables.

    Raises:
        PolicyError: An operator that IAM does not have.
    """
    return tuple(
        _condition(name, key, values, variables=variables)
        for name, keys in block.items()
        for key, values in keys.items()
    )


def _condition(name: str, key: str, values: Any, *, variables: bool) -> Condition:
    quantifier = next((one for one in (_ALL, _ANY) if name.startswith(one)), "")
    bare = name.removeprefix(quantifier)
    if bare == "Null" and not quantifier:
        return Condition(name, key.lower(), _texts(values, False, False), None)
    operator = OPERATORS.get(bare.removesuffix(_IF_EXISTS))
    if operator is None:
        raise PolicyError(f"IAM has no condition operator {name}")
    texts = _texts(values, variables and operator.variables, operator.wildcards)
    if_exists = bare.endswith(_IF_EXISTS)
    return Condition(name, key.lower(), texts, operator, quantifier, if_exists)


def _texts(values: Any, variables: bool, wildcards: bool) -> tuple[Text, ...]:
    return tuple(
        Text(_text(value), variables=variables, wildcards=wildcards) for value in as_list(values)
    )


def as_list(value: Any) -> Iterable[Any]:
    """Return what a policy gives as one thing or as a list of them."""
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    # Policies may hold true and 5 where they mean "true" and "5".
    return str(value).lower() if isinstance(value, bool) else str(value)
