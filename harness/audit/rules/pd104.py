"""More threads than connections: a queue that forms inside."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.rules.inputs import counted

ID = "PD104"
TITLE = "More requests are let in than there are connections"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Thread limiter > pool capacity: the difference waits at the pool, holding its threads.

    Or is refused at once, by a pool in which nobody waits (psycopg2's, peewee's).
    """
    for workload, pool in chain.pools():
        threads, capacity = pool.threads.known, pool.capacity.known
        if pool.implementation in ("none", "django") or threads is None or capacity is None:
            continue
        if threads <= capacity or math.isinf(threads):
            continue
        who = (
            f"{workload.name} works on {threads:g} requests at once with "
            f"{counted(capacity, 'connection')}"
        )
        if pool.timeout_s.known == 0:
            yield Finding(
                ID,
                "warning",
                pool.threads.place or pool.place,
                f"{who}, and its pool lets nobody wait: {threads - capacity:g} may be refused as "
                "soon as the others are busy",
                f"Have no more threads than connections ({capacity:g}), and watch the requests in "
                "flight.",
            )
            continue
        yield Finding(
            ID,
            "note",
            pool.threads.place or pool.place,
            f"{who}: {threads - capacity:g} may wait inside, each with a thread, and requests that "
            "need no database wait behind them",
            f"Watch the pool's pending requests; or have about as many threads as connections "
            f"({capacity:g}), and watch the requests in flight.",
        )
