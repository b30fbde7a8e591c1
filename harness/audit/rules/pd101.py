"""More connections may be asked for than the database grants."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Server
from harness.audit.rules.counts import Demand, granted, of_pooler, of_pools, poolers_before
from harness.audit.rules.inputs import counted

ID = "PD101"
TITLE = "The pools may ask for more connections than the database grants"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Processes × connections that each may open, against max_connections less reserves.

    A pooler that stands before the same server counts with what it may open; one that all pools
    stand behind is another rule's matter.
    """
    if chain.pools() and not chain.servers:
        what = "what the database grants: no file says; name its configuration, or give --dsn"
        yield Unknown(ID, chain.pools()[0][1].place, what)
    for server in chain.servers:
        yield from _of_server(chain, server)
    lost = [pool for _, pool in chain.pools() if not pool.reaches and not chain.poolers]
    if len(chain.servers) > 1 and lost:
        yield Unknown(ID, lost[0].place, "which of the servers each pool connects to")
    yield from _of_roles(chain)


def _of_server(chain: Chain, server: Server) -> Iterator[Finding | Unknown]:
    direct = of_pools(chain.behind(server))
    if not direct.shown or math.isinf(direct.most + direct.surge):
        return  # no pool, or PD102 says so
    poolers = [of_pooler(chain, each) for each in poolers_before(chain, server)]
    lacks = next((each.lacks for each in (direct, *poolers) if each.lacks), None)
    asked = Demand(
        direct.most + sum(each.most for each in poolers),
        " + ".join(each.shown for each in (direct, *poolers) if each.shown),
        lacks,
        direct.surge + sum(each.surge for each in poolers),
        direct.place,
        direct.used + sum(each.most for each in poolers),
        direct.defaults,
    )
    grant, most = server.grant.known, server.grants_at_most
    if grant is None and most is not None and asked.most > most:
        yield _finding(server, asked, most)
    elif grant is None:
        yield (
            lacks.needed_by(ID)
            if lacks
            else needs(ID, f"the connections of {server.name}", server.grant, server.place)
        )
    elif asked.most > grant:
        yield _finding(server, asked, grant)
    elif lacks is not None:
        yield lacks.needed_by(ID)
    elif asked.most and asked.most + asked.surge > grant:
        yield Finding(
            ID,
            "warning",
            asked.place or server.place,
            f"the pools may hold {asked.described}, and {server.name} grants "
            f"{grant:g}; while a rolling deploy lasts there are up to {asked.surge:g} more: the "
            "new release is refused (FATAL: sorry, too many clients already)",
            f"{_together(grant * asked.most / (asked.most + asked.surge))}, or let a deploy end "
            "old processes before it starts new ones (maxSurge: 0).",
        )


def _finding(server: Server, asked: Demand, grant: float) -> Finding:
    kept = (server.superuser_reserved.known or 0.0) + (server.reserved.known or 0.0)
    return Finding(
        ID,
        asked.severity(grant),
        asked.place or server.place,
        f"the pools may hold {asked.described}, and {server.name} grants {granted(server, grant)}"
        f"{_in_use(server)}: the rest is refused (FATAL: sorry, too many clients already)"
        f"{asked.bounded(grant)}",
        f"{_together(grant * asked.most / (asked.most + asked.surge))}, put a PgBouncer between, "
        f"or raise max_connections to {asked.most + asked.surge + kept:g} where the server can "
        "carry it.",
    )


def _together(most: float) -> str:
    """How small the pools must be, so that a rolling deploy has room as well."""
    return f"Have no more than {counted(max(0, math.floor(most)), 'connection')} in all pools"


def _in_use(server: Server) -> str:
    """What a live server has now, and whose it is."""
    if server.in_use.known is None:
        return ""
    whose = f": {server.used_by}" if server.used_by else ""
    return f" (now {server.in_use.known:g} are in use{whose})"


def _of_roles(chain: Chain) -> Iterator[Finding | Unknown]:
    """Pools that share a role which may have only so many (``CONNECTION LIMIT``)."""
    direct = [each for each in chain.pools() if chain.pooler_of(each[1]) is None]
    limits = {
        (pool.target.user.known, chain.server_of(pool)): pool.role_limit
        for _, pool in direct
        if pool.role_limit.is_known
    }
    for (user, server), limit in limits.items():
        asked = of_pools(
            each
            for each in direct
            if (each[1].target.user.known, chain.server_of(each[1])) == (user, server)
        )
        if math.isfinite(asked.most) and asked.most > (limit.known or 0.0):
            yield Finding(
                ID,
                "error",
                limit.place or asked.place or direct[0][1].place,
                f"the pools may hold {asked.described}, and their role may have "
                f"{limit}: the rest is refused (FATAL: too many connections for role)",
                f"Raise the role's CONNECTION LIMIT to {asked.most:g}, within what the server "
                "grants, or make the pools smaller.",
            )
