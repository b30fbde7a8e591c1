"""An alert that asks for more than there can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.alerts.expressions import number_of, operator
from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Alert, Pool, Workload
from harness.audit.rules import pool_metrics, promql
from harness.audit.rules.alternatives import greatest
from harness.audit.rules.inputs import counted, used_at_most

ID = "PD139"
TITLE = "An alert's threshold is never reached"

_KEEP_THE_MOST = frozenset(
    {"avg_over_time", "max_over_time", "min_over_time", "last_over_time", "max", "min", "avg"}
)
_FLIPPED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}


@dataclass(frozen=True, slots=True)
class _Most:
    """The most that an expression can be, and why; None where the pools do not tell."""

    value: float | None
    why: str
    lacks: Unknown | None = None


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Waiting requests > threads − capacity, used connections > capacity or threads, and so on.

    A side of an ``or`` may hold without the others: an alert is found where none of them can.
    """
    if not chain.pools():
        return
    for alert in chain.alerts:
        tree = promql.tree_of(alert.expression)
        if tree is None:
            continue
        reasons = [_unreachable(chain, alert, each) for each in promql.alternatives(tree)]
        unknown = next((each for each in reasons if isinstance(each, Unknown)), None)
        if all(isinstance(each, str) for each in reasons):
            yield Finding(
                ID,
                "warning",
                alert.place,
                f"{alert.name} {'; and '.join(dict.fromkeys(map(str, reasons)))}: it stays silent "
                "however bad the outage is",
                "Choose a threshold that the pools can reach, or alert on what grows without a "
                "limit: the time that requests wait, and those in flight before the threads.",
            )
        elif unknown is not None and all(reasons):
            yield unknown


def _unreachable(chain: Chain, alert: Alert, tree: Any) -> str | Unknown | None:
    """Why an expression never holds: one of its conditions never does."""
    unknown = None
    for condition in promql.conditions(tree):
        asked = _asked(condition)
        if asked is None:
            continue
        left, sign, threshold = asked
        most = _most(chain, alert, left)
        if most is None:
            continue
        if most.value is None:
            unknown = unknown or most.lacks
        elif (sign == ">" and most.value <= threshold) or (
            sign in (">=", "==") and most.value < threshold
        ):
            return f"asks for {sign} {threshold:g}, and {most.why}"
    return unknown


def _asked(condition: Any) -> tuple[Any, str, float] | None:
    """A comparison with a number, that one on its right."""
    threshold = number_of(condition.rhs)
    if threshold is not None:
        return condition.lhs, operator(condition), threshold
    threshold = number_of(condition.lhs)
    if threshold is not None:
        return condition.rhs, _FLIPPED[operator(condition)], threshold
    return None


def _most(chain: Chain, alert: Alert, node: Any, summed: bool = False) -> _Most | None:
    """None where it is no metric of a pool, or one that grows without a limit."""
    node = promql.bare(node)
    selected = promql.selected(node)
    if selected is not None:
        record = promql.recorded(chain).get(selected.name or "")
        # What is recorded from other records is left alone: they might go round in a circle.
        if record is not None and not promql.metrics(record) & promql.recorded(chain).keys():
            return _most(chain, alert, record, summed)
        return _of_metric(chain, alert, selected, summed)
    name = promql.calls(node)
    if name in _KEEP_THE_MOST or name == "sum":
        return _most(chain, alert, promql.inside(node), summed or name == "sum")
    if not name and promql.inside(node) is not None:
        return _most(chain, alert, promql.inside(node), summed)
    if promql.is_operation(node):
        return _scaled(chain, alert, node, summed)
    return None


def _scaled(chain: Chain, alert: Alert, node: Any, summed: bool) -> _Most | None:
    """A ratio of what is used, or something times a number."""
    sign, left, right = operator(node), number_of(node.lhs), number_of(node.rhs)
    if sign == "/" and left is None and right is None:
        return _ratio(chain, node)
    factor, inner = (right, node.lhs) if right is not None else (left, node.rhs)
    if factor is None or factor <= 0 or (sign == "/" and right is None) or sign not in "*/":
        return None
    found = _most(chain, alert, inner, summed)
    if found is None or found.value is None:
        return found
    scaled = found.value * factor if sign == "*" else found.value / factor
    return _Most(scaled, f"{found.why} (here {scaled:g})")


def _ratio(chain: Chain, node: Any) -> _Most | None:
    """Used / most, both of one pool, or both summed over the same ones."""
    left, right = promql.bare(node.lhs), promql.bare(node.rhs)
    if promql.calls(left) != promql.calls(right):
        return None
    while promql.calls(left) in ("sum", "max", "avg") and promql.calls(right) == promql.calls(left):
        left, right = promql.bare(promql.inside(left)), promql.bare(promql.inside(right))
    used, most = promql.selected(left), promql.selected(right)
    if used is None or most is None or not _is_used(used):
        return None
    if not pool_metrics.is_limit(most.name or ""):
        return None
    shares = [_most_used(workload, pool) for workload, pool in chain.pools()]
    if max(shares) >= 1:
        return _Most(1.0, "a pool never uses more than all of its connections")
    return _Most(
        max(shares), f"there are threads for no more than {max(shares):.2g} of a pool's connections"
    )


def _most_used(workload: Workload, pool: Pool) -> float:
    """The ratio of its connections that a pool can have in use; 1 where it is not known."""
    used, capacity = used_at_most(workload, pool), pool.capacity.known
    if not used or not capacity or math.isinf(capacity):
        return 1.0
    return used / capacity


def _of_metric(chain: Chain, alert: Alert, selector: Any, summed: bool) -> _Most | None:
    if pool_metrics.is_pending(selector.name or ""):
        return _bounded(chain, alert, summed, _waiting, "request", "can wait for a connection")
    if _is_used(selector):
        return _bounded(chain, alert, summed, used_at_most, "connection", "can be used")
    return None


def _is_used(selector: Any) -> bool:
    states = [each.value for each in selector.matchers.matchers if each.name == "state"]
    return pool_metrics.is_used(selector.name or "", states[0] if states else "")


def _waiting(_: Workload, pool: Pool) -> float | None:
    threads, capacity = pool.threads.known, pool.capacity.known
    if threads is None or capacity is None:
        return None
    return max(0.0, threads - capacity)


def _bounded(
    chain: Chain,
    alert: Alert,
    summed: bool,
    of_process: Callable[[Workload, Pool], float | None],
    what: str,
    can: str,
) -> _Most | None:
    """Of all replicas together where it is summed, else of one replica and all its processes."""
    found: dict[int, float] = {}
    pools = chain.pools()
    for workload, pool in pools:
        if pool.implementation in ("none", "django"):
            return None
        if of_process is _waiting and not pool.threads.is_known:
            return None  # nothing limits how many wait
        each = of_process(workload, pool)
        if each is None:
            lacks = needs(ID, f"the capacity of {workload.name}'s pool", pool.capacity, alert.place)
            return _Most(None, "", lacks)
        count = _count(workload, summed)
        if count is None or math.isinf(each):
            return None
        found[id(pool)] = each * count
    at_once = greatest(pools, lambda _, pool: found[id(pool)])
    most = sum(found[id(pool)] for _, pool in at_once) if summed else max(found.values())
    whose = "in all" if summed else "in any replica"
    return _Most(most, f"no more than {counted(most, what)} {can} {whose}")


def _count(workload: Workload, summed: bool) -> int | None:
    return workload.instances.known if summed else workload.processes.known
