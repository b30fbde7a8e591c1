"""A histogram that ends before the wait does which it should show."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.rules.inputs import in_seconds, may_wait

ID = "PD138"
TITLE = "A histogram ends before the pool's timeout"

_HAS_THE_WAIT = re.compile(
    r"wait|acqui|checkout|pool|request|response|login|http|latency|duration|handler|view|endpoint"
)
"""Times of which waiting for a connection is a part."""
_HAS_IT_NOT = re.compile(r"hash|query|statement|render|queue_size|sleep|external|upstream|dns|tls")


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """The last finite bucket below the shortest pool timeout: all waits beyond it look alike."""
    waits = [
        (pool.timeout_s.known, workload, pool)
        for workload, pool in chain.pools()
        if pool.timeout_s.known is not None and may_wait(workload, pool)
    ]
    if not waits:
        return
    shortest_s, workload, pool = min(waits, key=lambda each: each[0])
    for histogram in chain.histograms:
        name, last = histogram.name.lower(), histogram.last_bucket_s
        if not _HAS_THE_WAIT.search(name) or _HAS_IT_NOT.search(name) or last.known is None:
            continue
        if last.known >= shortest_s:
            continue
        yield Finding(
            ID,
            "warning",
            last.place or histogram.place,
            f"the last bucket of {histogram.name} ends at {in_seconds(last)}, and a request of "
            f"{workload.name} may wait {in_seconds(pool.timeout_s)} for a connection: no quantile "
            f"is ever shown above {last.known:g} s, however long users wait",
            "Give the pool a timeout, and the histogram a bucket beyond it."
            if math.isinf(shortest_s)
            else f"Add buckets up to the pool's timeout and beyond ({shortest_s:g} s, "
            f"{2 * shortest_s:g} s), or make the timeout shorter.",
        )
