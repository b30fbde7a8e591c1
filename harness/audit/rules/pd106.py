"""Requests that hold one connection and wait for another: the pool locks."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Pool, Use, Workload
from harness.audit.rules.inputs import counted

ID = "PD106"
TITLE = "A request holds one connection while it waits for another"

PRACTICE = "nested-checkout"
QUEUEING = frozenset({"sqlalchemy", "psycopg-pool", "asyncpg", "hikari"})
"""Pools at which a request waits. Others refuse it at once, or have no limit."""


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Capacity < Tn × (Cm − 1) + 1, with Tn requests at once that hold Cm connections each.

    Source: https://github.com/brettwooldridge/HikariCP/wiki/About-Pool-Sizing
    """
    for workload in chain.workloads:
        for use in workload.uses:
            if use.practice == PRACTICE and use.connections > 1:
                yield from _judged(workload, use)


def _judged(workload: Workload, use: Use) -> Iterator[Finding | Unknown]:
    """What may happen at the pools that the request takes its connections from."""
    pools = [pool for pool in workload.pools if pool.implementation in QUEUEING]
    named = [pool for pool in pools if use.pool and pool.name == use.pool]
    near = [pool for pool in pools if pool.place.file == use.place.file]
    for pool in named or near or pools:
        if not pool.capacity.is_known:
            yield needs(ID, f"the capacity of {workload.name}'s pool", pool.capacity, use.place)
            return
        if math.isinf(pool.capacity.known or 0.0):
            continue
        if pool.threads.known is None and pool.is_async.known is not True:
            yield needs(ID, f"the requests that {workload.name} works on", pool.threads, use.place)
            return
        if (found := _locks(workload, use, pool)) is not None:
            yield found
            return


def _locks(workload: Workload, use: Use, pool: Pool) -> Finding | None:
    capacity, most = pool.capacity.known or 0.0, _at_once(pool)
    enough = most * (use.connections - 1) + 1
    if capacity >= enough:
        return None
    alone = "Do the work of one request with one connection: pass it on, or give it back first"
    held = f"a request of {workload.name} holds {use.connections} connections at once"
    locked = (
        f"{held}: where each of many has all but its last, they wait for each other until the "
        f"pool's timeout, and the pool of {capacity:g} serves nobody"
    )
    if math.isinf(most):
        return Finding(
            ID,
            "error",
            use.place,
            f"{locked}; nothing limits how many requests there are at once, so that no pool is "
            "large enough",
            f"{alone}; or let fewer than {math.ceil(capacity / (use.connections - 1))} such "
            "requests in at once."
            if capacity >= use.connections
            else f"{alone}.",
        )
    return Finding(
        ID,
        "error",
        use.place,
        f"{locked}; {counted(most, 'request')} at once need{'s' * (most == 1)} "
        f"{most:g} × {use.connections - 1} + 1 = {enough:g}",
        f"{alone}; or give the pool {enough:g} connections.",
    )


def _at_once(pool: Pool) -> float:
    """Requests at once; nothing limits those of an asynchronous pool but what is known to."""
    return math.inf if pool.threads.known is None else pool.threads.known
