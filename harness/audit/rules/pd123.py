"""A PgBouncer that lets queries wait for longer than anybody else does."""

from __future__ import annotations

from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.rules.edits import shorter_wait
from harness.audit.rules.inputs import in_seconds, outlasts, seconds

ID = "PD123"
TITLE = "A query may wait in PgBouncer for longer than the gateway waits for its request"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """query_wait_timeout ≥ gateway timeout, or none at all."""
    for pooler in chain.poolers:
        wait = pooler.query_wait_timeout_s.known
        waiting = {id(pool) for _, pool in chain.behind(pooler)}
        patience = [
            each
            for each in chain.gateways
            if each.timeout_s.known is not None
            and any(id(pool) in waiting for _, pool in chain.served_by(each))
        ]
        if wait is None or not patience:
            continue
        gateway = min(patience, key=lambda each: each.timeout_s.known or 0.0)
        shortest = gateway.timeout_s
        if outlasts(pooler.query_wait_timeout_s, shortest):
            yield Finding(
                ID,
                "warning",
                pooler.query_wait_timeout_s.place or pooler.place,
                f"a query may wait {seconds(wait)} in {pooler.name}, and {gateway.name} gives up "
                f"after {in_seconds(shortest)}: the queue is full of requests that nobody waits "
                "for",
                f"Set query_wait_timeout below {shortest.known:g} s.",
                shorter_wait(pooler.query_wait_timeout_s, shortest.known or 0.0),
            )
