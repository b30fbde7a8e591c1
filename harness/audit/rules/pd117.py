"""psycopg's pool without a check, before a server that ends idle sessions."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.rules.inputs import in_seconds

ID = "PD117"
TITLE = "The pool hands out sessions that the server has ended, unchecked"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """psycopg_pool without ``check``, and an idle_session_timeout that is not above max_lifetime.

    A connection that is younger than the timeout cannot have been idle for so long.
    Source: https://www.psycopg.org/psycopg3/docs/advanced/pool.html#connection-quality
    """
    for workload, pool in chain.pools():
        if pool.implementation != "psycopg-pool" or pool.pre_ping.known is not False:
            continue
        server = chain.server_of(pool)
        if server is None or chain.pooler_of(pool) is not None:
            continue  # behind a pooler, the timeout ends the pooler's sessions
        ends, lifetime = chain.idle_session_timeout_of(pool), pool.recycle_s.known
        if ends.known is None or math.isinf(ends.known):
            continue
        if lifetime is None or lifetime >= ends.known:
            yield Finding(
                ID,
                "warning",
                pool.pre_ping.place or pool.place,
                f"{server.name} ends sessions that were idle for {in_seconds(ends)}, and the pool "
                f"of {workload.name} does not look: it hands out connections that are closed, and "
                "each request that gets one fails",
                "Give the pool check=ConnectionPool.check_connection (AsyncConnectionPool's for "
                f"an asynchronous one), or a max_lifetime below {ends.known:g} s.",
            )
