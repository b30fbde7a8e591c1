"""Pools that do not carry the declared peak."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain, Pool, Workload
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.rules.inputs import lacking

ID = "PD142"
TITLE = "The pools do not carry the peak"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Pool capacity / hold time against the declared peak (Little's law).

    Workloads whose share of the requests is known must carry it each, others all together.
    """
    peak = chain.peak_per_s
    if not chain.pools():
        return
    if not peak.is_known:
        yield needs(ID, "the peak", peak, chain.pools()[0][1].place)
        return
    if unknown := lacking(ID, chain):
        yield unknown
        return
    for workload, pool in chain.pools():
        if not workload.hold_s.is_known:
            what = f"how long a request of {workload.name} holds a connection (--hold)"
            yield needs(ID, what, workload.hold_s, pool.place)
            return
    if all(workload.share.is_known for workload in chain.workloads):
        for workload, pool in chain.pools():
            yield from _carried(
                (workload.share.known or 0.0) * (peak.known or 0.0), (workload, pool)
            )
    else:
        yield from _carried(peak.known or 0.0, *chain.pools())


def _carried(wanted_per_s: float, *pools: tuple[Workload, Pool]) -> Iterator[Finding]:
    carried, connections, shown = 0.0, 0.0, []
    for workload, pool in pools:
        count, capacity = workload.instances.known or 0, pool.capacity.known or 0.0
        hold_s = workload.hold_s.known or 0.0
        connections += count * capacity
        carried += math.inf if hold_s == 0 else count * capacity / hold_s
        shown.append(f"{count} × {capacity:g} / {hold_s:g} s")
    if wanted_per_s <= carried:
        return
    workload, pool = pools[0]
    whose = f"the pools of {workload.name}" if len(pools) == 1 else "the pools"
    ratio = wanted_per_s / carried
    yield Finding(
        ID,
        "error",
        pool.capacity.place or pool.place,
        f"{whose} carry {' + '.join(shown)} = {carried:.4g} logins a second and are asked for "
        f"{wanted_per_s:g} at the peak: ρ = {ratio:.2f}, and about {1 - 1 / ratio:.0%} of the "
        "logins fail while it lasts, before retries",
        f"Have {math.ceil(ratio * connections)} connections at least, and some to spare, or hold "
        "them for a shorter time.",
    )
