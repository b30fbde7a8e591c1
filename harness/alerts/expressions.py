"""What an expression asks for, read off its syntax tree. Evaluating it is Prometheus's business.

The trees come from promql-parser, which follows Prometheus's grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import promql_parser as promql

COMPARISONS = (">", "<", ">=", "<=", "==", "!=")
LOOKBACK_S = 300.0
"""How far back an instant selector looks in a Prometheus with default settings."""


class ExpressionError(ValueError):
    """The text is not PromQL."""


@dataclass(frozen=True, slots=True)
class Selector:
    """A selection of series: the metric's name, where it has a fixed one, and all of it as text."""

    metric: str | None
    text: str
    pattern: str | None = None

    def wants(self, name: str) -> bool:
        """Whether a metric of this name could be selected."""
        if self.metric is not None:
            return name == self.metric
        return self.pattern is None or re.fullmatch(self.pattern, name) is not None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison with a number: ``left operator threshold``, all as PromQL."""

    left: str
    operator: str
    threshold: float


def parse(text: str) -> Any:
    """The syntax tree of ``text``; `ExpressionError` when it is not PromQL."""
    try:
        return promql.parse(text)
    except ValueError as error:
        raise ExpressionError(str(error)) from error
    except BaseException as error:  # the parser is Rust: a panic of its is not a ValueError
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise ExpressionError(f"the parser gave up: {error}") from error


def selectors(tree: Any) -> tuple[Selector, ...]:
    """Every selection of series in the expression, each once."""
    found: dict[str, Selector] = {}
    for node in _nodes(tree):
        if isinstance(node, promql.VectorSelector):
            metric, pattern = node.name, None
            for matcher in node.matchers.matchers:
                if matcher.name == "__name__":
                    if matcher.op == promql.MatchOp.Equal:
                        metric = matcher.value
                    elif matcher.op == promql.MatchOp.Re:
                        pattern = matcher.value
            # Without its offset: whether there are such series at all is another question.
            plain = node.prettify().split(" offset ")[0].split(" @ ")[0]
            found.setdefault(plain, Selector(metric, plain, pattern))
    return tuple(found.values())


def plain_selector(text: str) -> bool:
    """Whether an expression does nothing but select series, as they are now."""
    try:
        tree = _bare(parse(text))
    except ExpressionError:
        return False
    return isinstance(tree, promql.VectorSelector) and tree.offset is None and tree.at is None


def window_s(tree: Any) -> float:
    """How far back the expression looks, in seconds: ranges, subqueries and offsets added up."""
    deepest = 0.0
    for child in _children(tree):
        deepest = max(deepest, window_s(child))
    own = _seconds(getattr(tree, "range", None)) + max(0.0, _seconds(getattr(tree, "offset", None)))
    return own + deepest


def comparison(tree: Any) -> Comparison | None:
    """The outermost comparison with a number, if the expression is one."""
    tree = _bare(tree)
    if not isinstance(tree, promql.BinaryExpr) or operator(tree) not in COMPARISONS:
        return None
    number = number_of(tree.rhs)
    if number is not None and number_of(tree.lhs) is None:
        return Comparison(tree.lhs.prettify(), operator(tree), number)
    return None


def comparisons(tree: Any) -> tuple[Comparison, ...]:
    """Every comparison with a number, wherever it stands."""
    return tuple(found for node in _nodes(tree) if (found := comparison_at(node)) is not None)


def comparison_at(node: Any) -> Comparison | None:
    """``node`` itself as a comparison with a number."""
    if not isinstance(node, promql.BinaryExpr) or operator(node) not in COMPARISONS:
        return None
    number = number_of(node.rhs)
    if number is None or number_of(node.lhs) is not None:
        return None
    return Comparison(node.lhs.prettify(), operator(node), number)


def pairs(tree: Any) -> tuple[tuple[str, str, str], ...]:
    """``(left, right, whole)`` of every operation between two vectors, the innermost first."""
    found = [
        (node.lhs.prettify(), node.rhs.prettify(), node.prettify())
        for node in _nodes(tree)
        if isinstance(node, promql.BinaryExpr)
        and operator(node) not in ("or", "unless")
        and number_of(node.lhs) is None
        and number_of(node.rhs) is None
        and selectors(node.lhs)
        and selectors(node.rhs)
    ]
    return tuple(reversed(found))


def operator(node: Any) -> str:
    """The operator of a binary expression as it is written."""
    return str(node.op).strip()


def number_of(node: Any) -> float | None:
    """The value of a literal number, with its sign; None for anything else."""
    node = _bare(node)
    if isinstance(node, promql.NumberLiteral):
        return float(node.val)
    if isinstance(node, promql.UnaryExpr):
        inner = number_of(node.expr)
        return None if inner is None else -inner
    return None


def _bare(node: Any) -> Any:
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    return node


def _children(node: Any) -> Iterator[Any]:
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        child = getattr(node, name, None)
        if child is not None and not isinstance(child, (str, float)):
            yield child
    yield from getattr(node, "args", None) or ()


def _nodes(tree: Any) -> Iterator[Any]:
    yield tree
    for child in _children(tree):
        yield from _nodes(child)


def _seconds(value: timedelta | None) -> float:
    return 0.0 if value is None else value.total_seconds()
