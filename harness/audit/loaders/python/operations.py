"""What is done with values: changed, combined, and unknown where that fails."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from harness.audit.reading import number
from harness.audit.values import Place, Value, Variable

T = TypeVar("T")


class Nothing:
    """Python's None, which a `Value` keeps for what is unknown."""

    def __str__(self) -> str:
        return "None"


NOTHING = Nothing()

ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.eq,
    ast.IsNot: operator.ne,
    ast.In: lambda one, others: one in others,
    ast.NotIn: lambda one, others: one not in others,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}
CALLED: Mapping[str, Callable[[Any], Any]] = {
    "int": lambda value: math.trunc(number(str(value).strip())),
    "float": lambda value: float(str(value)),
    "str": str,
    "bool": bool,
    "abs": abs,
    "round": round,
}
METHODS: Mapping[str, Callable[[str], Any]] = {
    "lower": str.lower,
    "upper": str.upper,
    "casefold": str.casefold,
    "strip": str.strip,
    "isdigit": str.isdigit,
}

LONGEST_TEXT = 10_000
_FAILURES = (ValueError, TypeError, ArithmeticError, AttributeError, LookupError)


def changed(value: Value[Any], change: Callable[[Any], T], key: str) -> Value[T]:
    """The value changed, and unknown where that fails."""
    if value.known is not None:
        try:
            change(value.known)
        except _FAILURES:
            # The text itself might be a secret in the wrong place.
            broken: Value[T] = Value.unknown(f"{key} is not understood", value.place)
            variable = value.variable
            return broken if variable is None else broken.decided_by(_changed(variable, change))
    found = value.map(change)
    return found if value.variable is None else found.decided_by(_changed(value.variable, change))


def _changed(variable: Variable[Any], change: Callable[[Any], T]) -> Variable[T]:
    def read(text: str) -> T:
        try:
            return change(variable.read(text))
        except _FAILURES:
            raise ValueError(variable.name) from None

    return replace(variable, read=read)


def combined(
    function: Callable[..., Any], parts: Sequence[Value[Any]], key: str, place: Place
) -> Value[Any]:
    """Of several values, of which one at the most may be undecided."""
    open_ones = [n for n, each in enumerate(parts) if each.variable is not None]
    unknown = [each for each in parts if not each.is_known]
    if len(open_ones) > 1 or any(each.variable is None for each in unknown):
        why = unknown[0].why if unknown else f"{key} is computed when the code runs"
        return Value.unknown(why, place)
    known = [each.known for each in parts]

    def apply(changing: Any) -> Any:
        return function(*(changing if n in open_ones else each for n, each in enumerate(known)))

    if open_ones:
        return changed(parts[open_ones[0]], apply, key)
    try:
        return Value.at(function(*known), place)
    except _FAILURES:
        return Value.unknown(f"{key} is not understood", place)


def of_numbers(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(one: Any, other: Any) -> Any:
        both = (one, other)
        numbers = all(isinstance(each, int | float) for each in both)
        texts = operate is operator.add and all(isinstance(each, str) for each in both)
        if not (numbers or texts):  # "x" * 10**9 is a text, too
            raise TypeError
        if texts and len(one) + len(other) > LONGEST_TEXT:
            raise ValueError
        return operate(one, other)

    return apply


def of_text(method: Callable[[str], Any]) -> Callable[[Any], Any]:
    def apply(value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError
        return method(value)

    return apply


def joined(*texts: Any) -> str:
    if sum(len(str(each)) for each in texts) > LONGEST_TEXT:
        raise ValueError
    return "".join(map(str, texts))


def with_replaced(text: Any, old: Any, new: Any) -> str:
    if not (isinstance(text, str) and isinstance(old, str) and old and isinstance(new, str)):
        raise TypeError
    return text.replace(old, new, 1)


def first_true(first: Value[Any], second: Value[Any]) -> Value[Any]:
    """``first or second``."""
    if first.is_known and as_python(first.known):
        return first
    if (variable := first.variable) is None:
        return second if first.is_known else first
    otherwise = second.known

    def read(text: str) -> Any:
        found = variable.read(text)
        if not as_python(found):
            if otherwise is None:
                raise ValueError
            return otherwise
        return found

    return second.decided_by(replace(variable, read=read))


def as_python(value: Any) -> Any:
    return None if isinstance(value, Nothing) else value
