"""What rules about alerts read off an expression: labels of its series, metrics, thresholds.

Only what holds for every Prometheus is said; where it depends on what is scraped, nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from harness.alerts.expressions import (
    COMPARISONS,
    ExpressionError,
    number_of,
    operator,
    parse,
    selectors,
)
from harness.audit.chain import Chain

SCRAPED = frozenset({"job", "instance"})
"""Labels that every scraped series has.
https://prometheus.io/docs/concepts/jobs_instances/
"""

_KEEPS_LABELS = frozenset(
    {
        "abs", "ceil", "floor", "round", "exp", "ln", "log2", "log10", "sqrt", "sgn", "clamp",
        "clamp_max", "clamp_min", "rate", "irate", "increase", "delta", "idelta", "deriv",
        "changes", "resets", "predict_linear", "timestamp", "sort", "sort_desc",
        "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time",
        "last_over_time", "quantile_over_time", "stddev_over_time", "stdvar_over_time",
        "present_over_time",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels that each series of an expression has, and all that it may have (None: any)."""

    certain: frozenset[str]
    possible: frozenset[str] | None

    def meet(self, other: Labels) -> bool:
        """Whether a series of the one may have the very labels of one of the other."""
        return self._fits(other) and other._fits(self)

    def _fits(self, other: Labels) -> bool:
        return other.possible is None or self.certain <= other.possible


def tree_of(expression: str) -> Any | None:
    """The syntax tree; None where the expression is none."""
    try:
        return parse(expression)
    except ExpressionError:
        return None


def recorded(chain: Chain) -> Mapping[str, Any]:
    """The syntax trees of what is recorded, by the names of the metrics that come of it."""
    trees = {each.name: tree_of(each.expression) for each in chain.recordings}
    return {name: tree for name, tree in trees.items() if tree is not None}


def bare(node: Any) -> Any:
    """Without parentheses around it."""
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    return node


def alternatives(node: Any) -> Iterator[Any]:
    """The sides of the outermost ``or``: each may hold without the others."""
    node = bare(node)
    if isinstance(node, promql.BinaryExpr) and operator(node) == "or":
        yield from alternatives(node.lhs)
        yield from alternatives(node.rhs)
    else:
        yield node


def conditions(node: Any) -> Iterator[Any]:
    """Comparisons that must all hold: those of the outermost ``and``, and what ``unless`` keeps."""
    node = bare(node)
    if not isinstance(node, promql.BinaryExpr):
        return
    if operator(node) == "and":
        yield from conditions(node.lhs)
        yield from conditions(node.rhs)
    elif operator(node) == "unless":
        yield from conditions(node.lhs)
    elif operator(node) in COMPARISONS:
        yield node


def operations(node: Any) -> Iterator[Any]:
    """Every operation with two sides that must have a result, the outermost first.

    What stands behind ``unless`` and on the sides of an ``or`` may be empty.
    """
    node = bare(node)
    if isinstance(node, promql.BinaryExpr):
        yield node
        if operator(node) != "or":
            yield from operations(node.lhs)
            if operator(node) != "unless":
                yield from operations(node.rhs)
        return
    if isinstance(node, promql.Call):
        if not node.func.name.startswith("absent"):
            for argument in node.args:
                yield from operations(argument)
        return
    inner = getattr(node, "expr", None)
    if inner is not None:
        yield from operations(inner)


def metrics(node: Any, records: Mapping[str, Any] | None = None) -> frozenset[str]:
    """Names of the metrics that it selects, also by way of what is recorded."""
    found: set[str] = set()
    left = [node]
    while left:
        names = {each.metric for each in selectors(left.pop()) if each.metric} - found
        found |= names
        left += [records[name] for name in names if records is not None and name in records]
    return frozenset(found)


def labels(node: Any) -> Labels | None:
    """The labels of its series; None where they cannot be told."""
    node = bare(node)
    if isinstance(node, promql.AggregateExpr):
        return _aggregated(node)
    if isinstance(node, promql.VectorSelector | promql.MatrixSelector):
        return _selected(node)
    if isinstance(node, promql.SubqueryExpr | promql.UnaryExpr):
        return labels(node.expr)
    if isinstance(node, promql.Call):
        if node.func.name not in _KEEPS_LABELS:
            return None
        found = [labels(each) for each in node.args if number_of(each) is None]
        return found[0] if len(found) == 1 else None
    if isinstance(node, promql.BinaryExpr):
        return _of_operation(node)
    return None


def _aggregated(node: Any) -> Labels | None:
    if str(node.op) in ("topk", "bottomk", "limitk", "limit_ratio"):
        return labels(node.expr)
    if str(node.op) == "count_values":
        return None
    modifier = node.modifier
    if modifier is None:
        return Labels(frozenset(), frozenset())
    if modifier.type != promql.AggModifierType.By:
        return None
    names = frozenset(modifier.labels)
    inner = labels(node.expr)
    return Labels(names & inner.certain if inner else frozenset(), names)


def _selected(node: Any) -> Labels | None:
    selector = getattr(node, "vector_selector", node)
    name = selector.name or ""
    # A recording rule (its name has a colon) may have made it without any label.
    return None if not name or ":" in name else Labels(SCRAPED, None)


def _of_operation(node: Any) -> Labels | None:
    """With a number on one side it has the other's labels; two sides that match, their own."""
    if number_of(node.rhs) is not None:
        return labels(node.lhs)
    if number_of(node.lhs) is not None:
        return labels(node.rhs)
    left, right = labels(node.lhs), labels(node.rhs)
    if operator(node) in ("and", "unless") or (left == right and not matched(node)):
        return left
    return None


def matched(node: Any) -> bool:
    """Whether an operation says itself which labels must be the same: ``on``, ``ignoring``."""
    return node.modifier is not None and node.modifier.matching is not None


def calls(node: Any) -> str:
    """The function or aggregation that it is; "" for anything else."""
    node = bare(node)
    if isinstance(node, promql.Call):
        return str(node.func.name)
    return str(node.op) if isinstance(node, promql.AggregateExpr) else ""


def inside(node: Any) -> Any:
    """What a function of one series, an aggregation or a subquery is of; None for anything else."""
    node = bare(node)
    if isinstance(node, promql.Call):
        arguments = [each for each in node.args if number_of(each) is None]
        return arguments[0] if len(arguments) == 1 else None
    if isinstance(node, promql.AggregateExpr | promql.SubqueryExpr):
        return node.expr
    return None


def selected(node: Any) -> Any | None:
    """The selection of series that it is, over a range or not; None for anything else."""
    node = bare(node)
    if isinstance(node, promql.MatrixSelector):
        return node.vector_selector
    return node if isinstance(node, promql.VectorSelector) else None


def is_operation(node: Any) -> bool:
    """Whether it has two sides."""
    return isinstance(bare(node), promql.BinaryExpr)
