"""A PgBouncer that ends queries which the server goes on with."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs

ID = "PD127"
TITLE = "PgBouncer ends a query before the server does"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """query_timeout ≤ statement_timeout, or a server without one.

    Source: https://www.pgbouncer.org/config.html#query_timeout
    """
    for pooler in chain.poolers:
        cut, server = pooler.query_timeout_s, chain.server_of(pooler)
        if cut.known is None or math.isinf(cut.known):
            continue
        for workload, pool in chain.behind(pooler):
            ends = pool.statement_timeout_s
            if server is not None:
                ends = ends.or_else(server.statement_timeout_s)
            if ends.known is None:
                yield needs(ID, f"statement_timeout of {workload.name}", ends, pooler.place)
            elif ends.known >= cut.known:
                shown = "never" if math.isinf(ends.known) else f"after {ends.known:g} s"
                yield Finding(
                    ID,
                    "warning",
                    cut.place or pooler.place,
                    f"{pooler.name} cuts the connection of a query after {cut} s, and the server "
                    f"ends the statement {shown}: it works on for nobody, and the pool loses a "
                    "connection where an error would do",
                    f"Set statement_timeout of the service's role below {cut} s.",
                )
            else:
                continue
            break
