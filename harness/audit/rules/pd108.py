"""Idle connections that something ends from outside, and a pool that does not look."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Pool
from harness.audit.rules.inputs import in_seconds
from harness.audit.values import Place, Value

ID = "PD108"
TITLE = "The pool hands out connections that something on the way has ended"

_CHECK = "Check connections before each use, or replace them at an age"
_CHECKS = {
    "sqlalchemy": "Set pool_pre_ping=True, or a pool_recycle",
    "psycopg-pool": "Give the pool check=ConnectionPool.check_connection, or a max_lifetime",
    "asyncpg": "Set max_inactive_connection_lifetime",
    "django": 'Set "CONN_HEALTH_CHECKS": True, or a CONN_MAX_AGE',
}
"""What each product calls it; what follows is the time to stay below."""


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """No pre_ping and no recycle, where a server or a proxy ends idle connections.

    PgBouncer's own timeout is another rule's matter.
    """
    for workload, pool in chain.pools():
        limit = shortest_limit(chain, pool)
        if limit is None or pool.implementation == "none" or pool.pre_ping.known is True:
            continue
        name, seconds = limit
        recycle = pool.recycle_s
        if recycle.known is not None and math.isfinite(recycle.known):
            continue
        for what, value in (("recycle", recycle), ("pre_ping", pool.pre_ping)):
            if not value.is_known:
                yield needs(ID, f"{what} of {workload.name}'s pool", value, pool.place)
                break
        else:
            yield Finding(
                ID,
                "warning",
                _place(pool),
                f"{name} ends connections that were idle for {in_seconds(seconds)}, and the pool "
                f"of {workload.name} neither checks a connection before its use nor replaces old "
                "ones: after every quiet time, requests fail on connections that are dead",
                f"{_CHECKS.get(pool.implementation, _CHECK)} below {seconds.known:g} s.",
            )


def shortest_limit(chain: Chain, pool: Pool) -> tuple[str, Value[float]] | None:
    """What ends an idle connection of ``pool`` first; None where nothing does.

    A pooler's timeout, and a server's for psycopg's pool, are other rules' matters.
    """
    pooler, server = chain.pooler_of(pool), chain.server_of(pool)
    others = [] if pooler is None else [pooler.client_idle_timeout_s]
    if server is not None and pool.implementation == "psycopg-pool":
        others.append(chain.idle_session_timeout_of(pool))
    finite = [
        (name, seconds)
        for name, seconds in chain.limits_of(pool)
        if seconds.known is not None
        and math.isfinite(seconds.known)
        and not any(seconds is other for other in others)
    ]
    return min(finite, key=lambda each: each[1].known or 0.0) if finite else None


def _place(pool: Pool) -> Place:
    """Where it is turned off; else where it should be turned on."""
    return pool.pre_ping.place or pool.recycle_s.place or pool.place
