"""No more threads than connections: the queue is where the pool cannot see it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown

ID = "PD105"
TITLE = "The queue forms before the threads, where the pool's metrics do not see it"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Pool capacity ≥ threads: nobody ever waits at the pool, whatever users wait for."""
    for workload, pool in chain.pools():
        threads, capacity = pool.threads.known, pool.capacity.known
        if threads is None or capacity is None or capacity < threads:
            continue
        yield Finding(
            ID,
            "warning",
            pool.threads.place or pool.place,
            f"{workload.name} works on {threads:g} requests at once and has {capacity:g} "
            "connections: requests queue for a thread, and the pool looks well throughout",
            "Watch the requests in flight and the time before a thread, or let more in than the "
            "pool has connections.",
        )
