"""More connections may be asked for than the database grants."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.rules.inputs import lacking, most_connections

ID = "PD101"
TITLE = "The pools may ask for more connections than the database grants"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Processes × pool capacity against max_connections less reserves; a pooler stands between."""
    if not chain.pools() or not chain.servers or chain.poolers:
        return
    if len(chain.servers) > 1:
        place = chain.servers[0].place
        yield Unknown(ID, place, "which of the servers each pool connects to")
        return
    (server,) = chain.servers
    if unknown := lacking(ID, chain):
        yield unknown
        return
    most = most_connections(chain)
    if math.isinf(most):
        return  # PD102 says so
    parts = [f"{w.instances.known} × {p.capacity.known:g}" for w, p in chain.pools()]
    if not server.grant.is_known:
        yield needs(ID, f"the connections of {server.name}", server.grant, server.place)
        return
    grant = server.grant.known or 0.0
    if most > grant:
        place = chain.pools()[0][1].capacity.place or chain.pools()[0][1].place
        yield Finding(
            ID,
            "error",
            place,
            f"the pools may hold {' + '.join(parts)} = {most:g} connections, and {server.name} "
            f"grants {grant:g}: the rest is refused (FATAL: sorry, too many clients already)",
            f"Make the pools {grant:g} together, put a PgBouncer between, or raise "
            f"max_connections to {most + server_kept(chain):g} where the server can carry it.",
        )


def server_kept(chain: Chain) -> float:
    """What the server keeps for superusers and for who watches."""
    (server,) = chain.servers
    return (server.superuser_reserved.known or 0.0) + (server.reserved.known or 0.0)
