"""A PgBouncer that may open more connections than the database grants."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Severity, Unknown, needs
from harness.audit.parts import Pooler, Server
from harness.audit.rules.counts import granted, of_pooler, poolers_before, size_of

ID = "PD121"
TITLE = "PgBouncer may open more connections than the database grants"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Databases × users × pool_size, unless max_db_connections bounds it."""
    for server in chain.servers:
        if poolers := poolers_before(chain, server):
            yield from _of_server(chain, server, poolers)


def _of_server(
    chain: Chain, server: Server, poolers: tuple[Pooler, ...]
) -> Iterator[Finding | Unknown]:
    demands = [of_pooler(chain, each) for each in poolers]
    lacks = next((each.lacks for each in demands if each.lacks), None)
    grant = server.grant
    if lacks is not None:
        yield lacks.needed_by(ID)
        return
    most, grants = sum(each.most for each in demands), server.grants_at_most
    if grants is None or (grant.known is None and most <= grants):
        yield needs(ID, f"the connections of {server.name}", grant, server.place)
        return
    names = " and ".join(each.name for each in poolers)
    place = demands[0].place or poolers[0].place
    if most > grants:
        shown = demands[0].described
        if len(demands) > 1:
            shown = f"{' + '.join(f'{each.most:g}' for each in demands)} = {most:g} connections"
        used = sum(each.busy for each in demands)
        severity: Severity = "error" if used > grants else "warning"
        yield Finding(
            ID,
            severity,
            place,
            f"{names} may open {shown}, and {server.name} grants {granted(server, grants)}: the "
            "server refuses the rest, and clients wait in PgBouncer for what cannot come",
            f"Set max_db_connections so that all databases{_and_instances(poolers)} together have "
            f"{grants:g} at the most, or make default_pool_size smaller.",
        )
        return
    for pooler in poolers:
        users, size = pooler.users.known or 0, size_of(pooler, None)
        if users * size > grants and math.isinf(pooler.max_db_connections.known or 0.0):
            yield Finding(
                ID,
                "note",
                place,
                f"{pooler.name} gives each of {users} users {size:g} connections to each database, "
                f"and {server.name} grants {grants:g}: if many of them come, the server "
                "refuses the rest",
                f"Set max_db_connections to {grants:g} at the most: PgBouncer then shares "
                "them out.",
            )


def _and_instances(poolers: tuple[Pooler, ...]) -> str:
    """That a limit is each process's own."""
    several = len(poolers) > 1 or (poolers[0].replicas.known or 1) > 1
    return " of all instances" if several else ""
