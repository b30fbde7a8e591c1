"""Far more connections than the server's cores can serve."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.rules.counts import of_pools, poolers_before
from harness.audit.rules.inputs import counted

ID = "PD135"
TITLE = "The server takes far more connections than its cores can serve"
FAR_MORE = 20
"""Connections a core: ten times the two that the pool sizing formula gives."""
MANY = 500
"""Above which the cores should be known."""


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """max_connections ≫ cores × 2, without a pooler, where the pools may use them.

    Source: https://github.com/brettwooldridge/HikariCP/wiki/About-Pool-Sizing
    """
    for server in chain.servers:
        most, cores = server.max_connections, server.cores
        asked = of_pools(chain.behind(server))
        if most.origin != "file" or most.known is None or poolers_before(chain, server):
            continue
        if not asked.shown or math.isinf(asked.busy):
            continue
        if cores.known is None:
            if min(most.known, asked.busy) > MANY:
                yield needs(ID, f"the cores of {server.name}", cores, server.place)
        elif min(most.known, asked.busy) > FAR_MORE * cores.known:
            yield Finding(
                ID,
                "note",
                most.place or server.place,
                f"{server.name} takes {most} connections on {counted(cores.known, 'core')}, and "
                f"the pools may open {asked.busy:g}: when they are busy at once, each statement "
                "takes many times as long, and the whole serves less than a few would",
                f"Put a PgBouncer between with about {2 * cores.known:g} to {4 * cores.known:g} "
                "connections, or make the pools smaller: the queue belongs before the database.",
            )
