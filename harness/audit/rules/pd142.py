"""Pools that do not carry the declared peak."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Pool, Pooler, Workload
from harness.audit.rules.alternatives import greatest
from harness.audit.rules.counts import lack_of, of_pooler
from harness.audit.rules.inputs import serving, used_at_most

ID = "PD142"
TITLE = "The pools do not carry the peak"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Connections that can be in use / hold time against the declared peak (Little's law).

    Workloads whose share of the requests is known must carry it each, others all together. No more
    connections are in use than there are threads; what serves no requests carries none.
    """
    peak, pools = chain.peak_per_s, serving(chain)
    if not pools:
        return
    if not peak.is_known:
        yield needs(ID, "the peak", peak, pools[0][1].place)
        return
    for workload, pool in pools:
        if lack := lack_of(workload, pool):
            yield lack.needed_by(ID)
            return
    for workload, pool in pools:
        if not workload.hold_s.is_known:
            what = f"how long a request of {workload.name} holds a connection (--hold)"
            yield needs(ID, what, workload.hold_s, pool.place)
            return
    pools = greatest(pools, _carried_by)
    if all(workload.share.is_known for workload, _ in pools):
        for workload, pool in pools:
            yield from _carried(
                (workload.share.known or 0.0) * (peak.known or 0.0), (workload, pool)
            )
    else:
        yield from _carried(peak.known or 0.0, *pools)
    for pooler in chain.poolers:
        yield from _through(chain, pooler)


def _through(chain: Chain, pooler: Pooler) -> Iterator[Finding]:
    """What a PgBouncer carries that has fewer connections behind it than are used before it.

    In session mode it is PD120's matter; and nothing is known of what a part of the pools is asked.
    """
    serves = greatest(serving(chain), _used)
    before = [each for each in serves if chain.pooler_of(each[1]) == pooler]
    own, peak_per_s = of_pooler(chain, pooler), chain.peak_per_s.known or 0.0
    if pooler.pool_mode.known == "session" or own.lacks or len(before) < len(serves):
        return
    used = sum(_used(*each) for each in before)
    wanted = sum(_used(*each) / (each[0].hold_s.known or math.inf) for each in before)
    if not 0 < own.most < used or not wanted:
        return
    hold_s = used / wanted
    carried = own.most / hold_s
    if carried < peak_per_s <= wanted:
        ratio = peak_per_s / carried
        yield Finding(
            ID,
            "error",
            own.place or pooler.place,
            f"{pooler.name} carries {own.most:g} / {hold_s:.3g} s = {carried:.4g} logins a second "
            f"and is asked for {peak_per_s:g} at the peak: ρ = {ratio:.2f}, and about "
            f"{1 - 1 / ratio:.0%} of the logins fail while it lasts, before retries",
            f"Have {math.ceil(ratio * own.most)} connections behind {pooler.name} at least, and "
            "some to spare, within what the server grants; or hold them for a shorter time.",
        )


def _carried_by(workload: Workload, pool: Pool) -> float:
    """Logins a second, of what is known of one pool."""
    return _used(workload, pool) / (workload.hold_s.known or 1.0)


def _used(workload: Workload, pool: Pool) -> float:
    count = workload.instances.known
    return count * (used_at_most(workload, pool) or 0.0) if count else 0.0


def _carried(wanted_per_s: float, *pools: tuple[Workload, Pool]) -> Iterator[Finding]:
    carried, used, limited, shown = 0.0, 0.0, False, []
    for workload, pool in pools:
        count, each = workload.instances.known or 0, used_at_most(workload, pool) or 0.0
        hold_s = workload.hold_s.known or 0.0
        limited = limited or each < (pool.capacity.known or 0.0)
        used += count * each if count else 0.0
        carried += math.inf if count and hold_s == 0 else count * each / hold_s if count else 0.0
        shown += [f"{count} × {each:g} / {hold_s:g} s"] if count else []
    if wanted_per_s <= carried:
        return
    workload, pool = pools[0]
    whose = f"the pools of {workload.name}" if len(pools) == 1 else "the pools"
    if carried == 0:
        yield Finding(
            ID,
            "error",
            workload.replicas.place or workload.place,
            f"{whose} carry nothing and are asked for {wanted_per_s:g} logins a second at the "
            "peak: every login fails",
            "Have replicas, and connections, before the peak comes.",
        )
        return
    ratio = wanted_per_s / carried
    threads = ", each with a thread: there are fewer threads than connections now" * limited
    yield Finding(
        ID,
        "error",
        pool.capacity.place or pool.place,
        f"{whose} carry {' + '.join(shown)} = {carried:.4g} logins a second and are asked for "
        f"{wanted_per_s:g} at the peak: "
        f"ρ = {ratio:.2f}, and about {1 - 1 / ratio:.0%} of the logins fail while it lasts, "
        "before retries",
        f"Have {math.ceil(ratio * used)} connections at least, and some to spare{threads}; or hold "
        "them for a shorter time.",
    )
