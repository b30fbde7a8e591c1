"""A PgBouncer in session mode with fewer connections than the pools before it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain, Pool, Pooler, Workload
from harness.audit.finding import Finding, Unknown, needs
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
        of_one = min(size_of(pooler, database), limit_of(pooler, database))
        have = of_one * (pooler.replicas.known or 1)
        size, name_of_size = pooler.default_pool_size, "default_pool_size"
        if database is not None and database.pool_size.is_known:
            size, name_of_size = database.pool_size, "pool_size"
        if kept.most > have:
            yield Finding(
                ID,
                "error",
                size.place or pooler.place,
                f"the pools keep {_number(kept.most, at_least=kept.lacks is not None)} connections "
                f"open and {pooler.name}, in session mode, has {have:g} behind them: whoever comes "
                "later waits in it, with a connection that the pool believes to be good",
                f"Raise {name_of_size} to {kept.most:g} within max_connections, make the pools "
                "smaller, or use transaction mode.",
            )
        elif kept.lacks is not None:
            yield kept.lacks.needed_by(ID)


def _number(most: float, *, at_least: bool) -> str:
    shown = "any number of" if math.isinf(most) else f"{most:g}"
    return f"at least {shown}" if at_least else shown
