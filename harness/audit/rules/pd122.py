"""A PgBouncer that takes fewer clients than the pools have connections."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Pooler
from harness.audit.rules.counts import of_pools

ID = "PD122"
TITLE = "The pools may open more connections than PgBouncer takes"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """max_client_conn < sum of the application pools."""
    for pooler in chain.poolers:
        asked = of_pools(chain.behind(pooler))
        if not asked.shown or math.isinf(asked.most + asked.surge):
            continue  # no pool, or PD102 says so
        limit = pooler.max_client_conn
        if limit.known is None:
            lacks = asked.lacks
            yield (
                lacks.needed_by(ID)
                if lacks
                else needs(ID, f"max_client_conn of {pooler.name}", limit, pooler.place)
            )
            continue
        takes = limit.known * (pooler.replicas.known or 1)
        needed = math.ceil((asked.most + asked.surge) / (pooler.replicas.known or 1))
        if asked.most > takes:
            yield Finding(
                ID,
                asked.severity(takes),
                limit.place or pooler.place,
                f"the pools may open {asked.total} and {pooler.name} takes {_taken(pooler)}: the "
                f"rest is refused (no more connections allowed){asked.bounded(takes)}",
                f"Set max_client_conn to {needed} at least, with room for a rolling deploy.",
            )
        elif asked.lacks is not None:
            yield asked.lacks.needed_by(ID)
        elif asked.most + asked.surge > takes:
            yield Finding(
                ID,
                "warning",
                limit.place or pooler.place,
                f"the pools may open {asked.total}, and {asked.surge:g} more while a "
                f"rolling deploy lasts, and {pooler.name} takes {_taken(pooler)}: the new release "
                "is refused (no more connections allowed)",
                f"Set max_client_conn to {needed} at least.",
            )


def _taken(pooler: Pooler) -> str:
    """Its limit, for each of its replicas."""
    replicas = pooler.replicas.known or 1
    return (
        f"{pooler.max_client_conn}" if replicas == 1 else f"{replicas} × {pooler.max_client_conn}"
    )
