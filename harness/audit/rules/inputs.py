"""What several rules reckon with: who serves, what can be in use at once, how long one waits."""

from __future__ import annotations

import math

from harness.audit.chain import Chain
from harness.audit.parts import Pool, Workload
from harness.audit.rules.alternatives import greatest
from harness.audit.values import Value


def serving(chain: Chain) -> tuple[tuple[Workload, Pool], ...]:
    """Pools of what requests come to: a job queue's worker carries none of them."""
    return tuple(each for each in chain.pools() if each[0].serves.known is not False)


def held_at_most(workload: Workload, pool: Pool) -> float:
    """Connections that the requests of one process hold at once, whatever the pool has.

    inf where nothing is known to limit them: a session that outlives its request's work is held by
    no thread any more.
    """
    threads = pool.threads.known
    if threads is None or any(use.practice == "session-over-teardown" for use in workload.uses):
        return math.inf
    return threads * max((use.connections for use in workload.uses), default=1)


def capacity_of(workload: Workload, pool: Pool) -> Value[float]:
    """Connections that one process may have: the pool's, or without one what its threads hold."""
    held = held_at_most(workload, pool)
    if pool.implementation == "none" and math.isfinite(held):
        return Value(held, "file", pool.place)
    return pool.capacity


def used_at_most(workload: Workload, pool: Pool) -> float | None:
    """Connections of one process that can be in use at once; None where its pool is not known."""
    capacity = capacity_of(workload, pool).known
    return None if capacity is None else min(capacity, held_at_most(workload, pool))


def carried_per_s(chain: Chain) -> float | None:
    """Requests a second that all pools together carry: connections in use / hold time (Little)."""
    pools = serving(chain)
    each = {id(pool): _carried_by(workload, pool) for workload, pool in pools}
    if not pools or None in each.values():
        return None
    at_once = greatest(pools, lambda _, pool: each[id(pool)] or 0.0)
    return sum(each[id(pool)] or 0.0 for _, pool in at_once)


def _carried_by(workload: Workload, pool: Pool) -> float | None:
    hold_s, count = workload.hold_s.known, workload.instances.known
    used = used_at_most(workload, pool)
    if hold_s is None or count is None or used is None:
        return None
    return math.inf if hold_s == 0 else count * used / hold_s


def may_wait(workload: Workload, pool: Pool) -> bool:
    """Whether a request may ever wait for a connection of this pool.

    It does not where no pool limits anything, nor where there are connections for all threads.
    """
    if pool.implementation in ("none", "django"):
        return False
    capacity = pool.capacity.known
    return capacity is None or held_at_most(workload, pool) > capacity or math.isinf(capacity)


def outlasts(inner: Value[float], outer: Value[float]) -> bool:
    """Whether the one waits for as long as the other, or longer: nobody outlasts who never ends."""
    if inner.known is None or outer.known is None:
        return False
    return math.isfinite(outer.known) and inner.known >= outer.known


def seconds(time_s: float) -> str:
    """A time with its unit."""
    return "for ever" if math.isinf(time_s) else f"{time_s:g} s"


def in_seconds(value: Value[float]) -> str:
    """A known time with its unit, and whose default it is."""
    shown = seconds(math.inf if value.known is None else value.known)
    return f"{shown} (default of {value.why})" if value.origin == "default" else shown


def counted(number: float, what: str) -> str:
    """`1 connection`, `2 connections`."""
    return f"{number:g} {what}" if number == 1 else f"{number:g} {what}s"
