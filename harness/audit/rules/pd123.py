"""A PgBouncer that lets queries wait for longer than anybody else does."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.rules.edits import shorter_wait

ID = "PD123"
TITLE = "A query may wait in PgBouncer for longer than the gateway waits for its request"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """query_wait_timeout ≥ gateway timeout, or none at all."""
    for pooler in chain.poolers:
        wait = pooler.query_wait_timeout_s.known
        patience = [
            each.timeout_s
            for each in chain.gateways
            if each.timeout_s.known is not None
            and any(chain.pooler_of(pool) == pooler for _, pool in chain.served_by(each))
        ]
        if wait is None or not patience:
            continue
        shortest = min(patience, key=lambda each: each.known or 0.0)
        if wait >= (shortest.known or 0.0):
            shown = "for ever" if math.isinf(wait) else f"{wait:g} s"
            yield Finding(
                ID,
                "warning",
                pooler.query_wait_timeout_s.place or pooler.place,
                f"a query may wait {shown} in {pooler.name}, and the gateway gives up after "
                f"{shortest} s: the queue is full of requests that nobody waits for",
                f"Set query_wait_timeout below {shortest} s.",
                shorter_wait(pooler.query_wait_timeout_s, shortest.known or 0.0),
            )
