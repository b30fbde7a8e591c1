"""No more threads than connections: the queue is where the pool cannot see it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Severity, Unknown
from harness.audit.rules.inputs import counted

ID = "PD105"
TITLE = "The queue forms before the threads, where the pool's metrics do not see it"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Pool capacity ≥ threads: nobody ever waits at the pool, whatever users wait for.

    With one thread there is no pool to speak of, and nobody takes its metrics for the queue's.
    """
    for workload, pool in chain.pools():
        threads, capacity = pool.threads.known, pool.capacity.known
        if pool.implementation in ("none", "django") or threads is None or capacity is None:
            continue
        if workload.serves.known is False:
            continue  # its queue is the job queue, which is watched as one
        if capacity < threads or math.isinf(capacity):
            continue
        if pool.timeout_s.known == 0:
            continue  # nobody ever waits at it: the queue has no other place
        of = pool.threads
        usual = f" (default of {of.why})" if of.origin == "default" else ""
        severity: Severity = "warning" if threads > 1 else "note"
        yield Finding(
            ID,
            severity,
            pool.threads.place or pool.place,
            f"{workload.name} works on {counted(threads, 'request')} at once{usual} and has "
            f"{counted(capacity, 'connection')}: requests queue for a thread, and the pool looks "
            "well throughout",
            "Watch the requests in flight and the time before a thread, or let more in than the "
            "pool has connections.",
        )
