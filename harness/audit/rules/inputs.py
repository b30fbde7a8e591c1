"""What several rules reckon with: connections that may be opened, requests that are carried."""

from __future__ import annotations

import math

from harness.audit.chain import Chain, Pool, Workload
from harness.audit.finding import Unknown, needs
from harness.audit.values import Value


def lacking(rule: str, chain: Chain) -> Unknown | None:
    """What ``rule`` would need to count the pools' connections; None when all of it is known."""
    for workload, pool in chain.pools():
        for what, value in (
            (f"the processes of {workload.name}", workload.instances),
            (f"the capacity of {workload.name}'s pool", pool.capacity),
        ):
            if not value.is_known:
                return needs(rule, what, value, pool.place)
    return None


def most_connections(chain: Chain) -> float:
    """Processes × capacity, over all pools; what is unknown counts as nothing."""
    return sum(
        (workload.instances.known or 0) * (pool.capacity.known or 0.0)
        for workload, pool in chain.pools()
    )


def carried_per_s(chain: Chain) -> float | None:
    """Requests a second that all pools together carry: capacity / hold time (Little's law)."""
    total = 0.0
    for workload, pool in chain.pools():
        hold_s = workload.hold_s.known
        count, capacity = workload.instances.known, pool.capacity.known
        if hold_s is None or count is None or capacity is None:
            return None
        total += math.inf if hold_s == 0 else count * capacity / hold_s
    return total if chain.pools() else None


def may_wait(workload: Workload, pool: Pool) -> bool:
    """Whether a request may ever wait for a connection of this pool.

    It does not where no pool limits anything, nor where there are connections for all threads.
    """
    if pool.implementation in ("none", "django"):
        return False
    threads, capacity = pool.threads.known, pool.capacity.known
    if threads is None or capacity is None:
        return True
    at_once = max((use.connections for use in workload.uses), default=1)
    return threads * at_once > capacity


def in_seconds(value: Value[float]) -> str:
    """A known time with its unit, and whose default it is."""
    shown = f"{value.known:g} s"
    return f"{shown} (default of {value.why})" if value.origin == "default" else shown
