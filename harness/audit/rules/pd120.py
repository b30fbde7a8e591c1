"""A PgBouncer in session mode with fewer connections than the pools before it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Pool, Pooler, Workload
from harness.audit.rules.counts import database_of, limit_of, of_pools, size_of

ID = "PD120"
TITLE = "PgBouncer has fewer connections than the pools that keep them"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """Session mode: each connection of a pool keeps one of PgBouncer's for as long as it lives.

    PgBouncer has a pool of its own for each database and user.
    """
    for pooler in chain.poolers:
        pools = chain.behind(pooler)
        if not pools:
            continue
        if not pooler.pool_mode.is_known:
            yield needs(ID, f"pool_mode of {pooler.name}", pooler.pool_mode, pooler.place)
        elif pooler.pool_mode.known == "session" and pooler.default_pool_size.is_known:
            yield from _of_session_mode(pooler, pools)


def _of_session_mode(
    pooler: Pooler, pools: tuple[tuple[Workload, Pool], ...]
) -> Iterator[Finding | Unknown]:
    shares: dict[tuple[str | None, str | None], list[tuple[Workload, Pool]]] = {}
    for workload, pool in pools:
        whose = pool.target.database.known, pool.target.user.known
        shares.setdefault(whose, []).append((workload, pool))
    for (name, _), members in shares.items():
        kept = of_pools(members)
        database = database_of(pooler, name)
        limit, replicas = limit_of(pooler, database), pooler.replicas.known or 1
        have = min(size_of(pooler, database), limit) * replicas
        size, name_of_size = pooler.default_pool_size, "default_pool_size"
        if database is not None and database.pool_size.is_known:
            size, name_of_size = database.pool_size, "pool_size"
        if kept.most > have:
            yield Finding(
                ID,
                kept.severity(have),
                size.place or pooler.place,
                f"the pools keep {kept.total} open and {pooler.name}, in session mode, has "
                f"{have:g} behind them: whoever comes later waits in it, with a connection that "
                f"the pool believes to be good{kept.bounded(have)}",
                f"{_raised(name_of_size, kept.most / replicas, size_of(pooler, database), limit)}"
                "make the pools smaller, or use transaction mode.",
            )
        elif kept.lacks is not None:
            yield kept.lacks.needed_by(ID)


def _raised(name: str, needed: float, size: float, limit: float) -> str:
    """What to raise, of each replica; nothing where the pools have no limit themselves."""
    if math.isinf(needed):
        return "Limit the pools first, and then "
    parts = [name] if needed > size else []
    parts += ["max_db_connections"] if needed > limit else []
    return f"Raise {' and '.join(parts)} to {math.ceil(needed)} within max_connections, "
