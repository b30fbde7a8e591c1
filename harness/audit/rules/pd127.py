"""A PgBouncer that ends queries which the server goes on with."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Pool, Pooler, Server
from harness.audit.rules.inputs import in_seconds
from harness.audit.values import Value

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
        ends = [(workload, _ends(pool, server)) for workload, pool in chain.behind(pooler)]
        late = [each for _, each in ends if each.known is not None and each.known >= cut.known]
        unsaid = [each for each in ends if not each[1].is_known]
        if late:
            yield _finding(pooler, max(late, key=lambda each: each.known or 0.0))
        elif unsaid:
            workload, value = unsaid[0]
            yield needs(ID, f"statement_timeout of {workload.name}", value, pooler.place)


def _ends(pool: Pool, server: Server | None) -> Value[float]:
    """When a statement of the pool is ended: its own timeout, else the server's."""
    own = pool.statement_timeout_s
    return own if server is None else own.or_else(server.statement_timeout_s)


def _finding(pooler: Pooler, ends: Value[float]) -> Finding:
    cut = pooler.query_timeout_s
    shown = "never ends the statement"
    if math.isfinite(ends.known or 0.0):
        shown = f"ends the statement after {ends.known:g} s"
    return Finding(
        ID,
        "warning",
        cut.place or pooler.place,
        f"{pooler.name} cuts the connection of a query after {in_seconds(cut)}, and the server "
        f"{shown}: it works on for nobody, and the pool loses a connection where an error would do",
        f"Set statement_timeout of the service's role below {cut.known:g} s.",
    )
