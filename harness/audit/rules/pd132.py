"""A statement that may run for ever."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.parts import Pool
from harness.audit.rules.timeouts import endless, is_finite, transaction_timeout_of

ID = "PD132"
TITLE = "A statement may run for ever"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """``statement_timeout = 0``, where somebody's pools are served.

    A pool's or a role's own timeout holds over the server's; PgBouncer's query_timeout ends a
    statement's connection too, and so does what ends every transaction. ``lock_timeout`` bounds a
    part of it: the wait for locks.
    """

    def bounded(pool: Pool) -> bool:
        pooler = chain.pooler_of(pool)
        if pooler is not None and is_finite(pooler.query_timeout_s):
            return True
        return is_finite(transaction_timeout_of(chain, pool))

    for server in chain.servers:
        limit = server.statement_timeout_s
        found = endless(chain, server, lambda pool: pool.statement_timeout_s, limit, bounded)
        if found is None:
            continue
        value, pools = found
        waits = [pool.lock_timeout_s.or_else(server.lock_timeout_s).known for pool in pools]
        if all(wait is not None and math.isfinite(wait) for wait in waits):
            why, more = "lock_timeout ends its wait for locks, but with a bad plan", ""
        else:
            why, more = "behind a lock, or with a bad plan,", ", and lock_timeout below it"
        yield Finding(
            ID,
            "note",
            value.place or server.place,
            f"{server.name} lets a statement run for ever: {why} each holds a connection for "
            "longer than anybody waits for its answer",
            "Set statement_timeout for the service's role (ALTER ROLE … SET) to what the gateway "
            f"waits for{more}.",
        )
