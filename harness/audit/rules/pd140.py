"""An alert whose arithmetic is wrong whatever happens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from harness.alerts.expressions import COMPARISONS, number_of, operator
from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Alert, Pooler, Recording
from harness.audit.rules import promql
from harness.audit.values import Value

ID = "PD140"
TITLE = "An alert divides by a limit that is not there, or compares what never matches"

UNLIMITED_AT_ZERO = {
    "pgbouncer_databases_max_connections": "max_db_connections",
    "pgbouncer_databases_database_max_connections": "max_db_connections",
    "pgbouncer_config_max_user_connections": "max_user_connections",
}
"""Metrics that are 0 where nothing is limited, and PgBouncer's setting behind each.
https://www.pgbouncer.org/config.html
"""


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Division by, or comparison with, a 0 that stands for *no limit*; labels that never match."""
    rules: tuple[Alert | Recording, ...] = (*chain.recordings, *chain.alerts)
    for rule in rules:
        tree = promql.tree_of(rule.expression)
        for each in promql.alternatives(tree) if tree is not None else ():
            yield from _apart(rule, each, len(list(promql.alternatives(tree))) > 1)
            yield from _by_zero(chain, rule, each)


def _apart(rule: Alert | Recording, tree: Any, is_one_of_several: bool) -> Iterator[Finding]:
    for node in promql.operations(tree):
        if operator(node) in ("or", "unless") or promql.matched(node):
            continue
        if number_of(node.lhs) is not None or number_of(node.rhs) is not None:
            continue
        left, right = promql.labels(node.lhs), promql.labels(node.rhs)
        if left is None or right is None or left.meet(right):
            continue
        never = "it never has a value" if isinstance(rule, Recording) else "it never fires"
        if is_one_of_several:
            never = "a side of it never holds"
        yield Finding(
            ID,
            "warning",
            rule.place,
            f"{rule.name}: what stands on the left of {operator(node)} has {_listed(left)}, and "
            f"on its right {_listed(right)}; series with different labels are not compared, so "
            f"{never} (promtool check rules says SUCCESS)",
            "Aggregate both sides by the same labels, or say on (…) or ignoring (…) with "
            "group_left ().",
        )
        return


def _listed(labels: promql.Labels) -> str:
    if labels.possible is None:
        return f"the labels {', '.join(sorted(labels.certain))} and more"
    if not labels.possible:
        return "no labels"
    return f"the labels {', '.join(sorted(labels.possible))}"


def _by_zero(chain: Chain, rule: Alert | Recording, tree: Any) -> Iterator[Finding | Unknown]:
    for node in promql.operations(tree):
        limit = _limit(node)
        if limit is None or _is_guarded(tree, limit):
            continue
        setting = UNLIMITED_AT_ZERO[limit]
        if not chain.poolers:
            yield _unlimited(rule, limit, setting, "0 unless PgBouncer is told otherwise")
        for pooler in chain.poolers:
            value = _value(pooler, setting)
            if value.known is None:
                yield needs(ID, f"{setting} of {pooler.name}", value, rule.place)
            elif math.isinf(value.known):
                yield _unlimited(rule, limit, setting, f"0 for {pooler.name}")
        return


def _unlimited(rule: Alert | Recording, metric: str, setting: str, when: str) -> Finding:
    return Finding(
        ID,
        "warning",
        rule.place,
        f"{rule.name} reckons with {metric}, which is {when}: that is no limit, and not one of "
        "nothing, so that it is above every threshold as soon as there is a connection, and never "
        "comes down",
        f"Leave out what has no limit ({metric} > 0), or set {setting}.",
    )


def _limit(node: Any) -> str | None:
    """The metric that a division has below, or that a comparison must be above."""
    sign = operator(node)
    if sign == "/" or sign in (">", ">="):
        below = node.rhs
    elif sign in ("<", "<="):
        below = node.lhs
    else:
        return None
    return next(iter(sorted(promql.metrics(below) & UNLIMITED_AT_ZERO.keys())), None)


def _is_guarded(tree: Any, metric: str) -> bool:
    """Whether the expression itself leaves out series of the metric that are 0."""
    return any(
        operator(node) in COMPARISONS
        and number_of(node.rhs) == 0
        and metric in promql.metrics(node.lhs)
        and "/" not in str(node.lhs.prettify())
        for node in promql.operations(tree)
    )


def _value(pooler: Pooler, setting: str) -> Value[float]:
    if setting == "max_user_connections":
        return pooler.max_user_connections
    return pooler.max_db_connections
