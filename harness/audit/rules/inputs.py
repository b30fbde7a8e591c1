"""What several rules reckon with: the connections that all pools together may open."""

from __future__ import annotations

from harness.audit.chain import Chain
from harness.audit.finding import Unknown, needs


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
