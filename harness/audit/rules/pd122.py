"""A PgBouncer that takes fewer clients than the pools have connections."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.rules.inputs import lacking, most_connections

ID = "PD122"
TITLE = "The pools may open more connections than PgBouncer takes"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """max_client_conn < sum of the application pools."""
    for pooler in chain.poolers:
        if unknown := lacking(ID, chain):
            yield unknown
            return
        most = most_connections(chain)
        limit = pooler.max_client_conn
        if not limit.is_known:
            yield needs(ID, f"max_client_conn of {pooler.name}", limit, pooler.place)
        elif math.isfinite(most) and most > (limit.known or 0.0):
            yield Finding(
                ID,
                "error",
                limit.place or pooler.place,
                f"the pools may open {most:g} connections and {pooler.name} takes {limit}: the "
                "rest is refused (no more connections allowed)",
                f"Set max_client_conn to {most:g} at least, with room for a rolling deploy.",
            )
