"""A PgBouncer in session mode with fewer connections than the pools before it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.rules.inputs import lacking, most_connections

ID = "PD120"
TITLE = "PgBouncer has fewer connections than the pools that keep them"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Session mode: each connection of a pool keeps one of PgBouncer's for as long as it lives."""
    for pooler in chain.poolers:
        if not pooler.pool_mode.is_known:
            yield needs(ID, f"pool_mode of {pooler.name}", pooler.pool_mode, pooler.place)
            continue
        size = pooler.default_pool_size
        if pooler.pool_mode.known != "session" or not size.is_known:
            continue
        if unknown := lacking(ID, chain):
            yield unknown
            return
        most = most_connections(chain)
        have = (size.known or 0.0) + (pooler.reserve_pool_size.known or 0.0)
        if most > have:
            shown = "any number of" if math.isinf(most) else f"{most:g}"
            yield Finding(
                ID,
                "error",
                size.place or pooler.place,
                f"the pools keep {shown} connections open and {pooler.name}, in session mode, has "
                f"{have:g} behind them: whoever comes later waits in it, with a connection that "
                "the pool believes to be good",
                f"Raise default_pool_size to {most:g} within max_connections, make the pools "
                "smaller, or use transaction mode.",
            )
