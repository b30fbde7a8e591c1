"""An attempt to connect that lasts for longer than anybody waits."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain, Pool, Workload
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.rules.timeouts import patience_of

ID = "PD113"
TITLE = "Nothing ends an attempt to connect while somebody still waits"

LONG_S = 60.0
"""Drivers' own defaults are so long, or longer: no request waits for a minute."""


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """No connect_timeout, or one that is not below what the gateway waits for.

    Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-CONNECT-TIMEOUT
    """
    for workload, pool in chain.pools():
        seconds = pool.connect_timeout_s
        if seconds.known is None:
            if seconds.variable is not None:
                yield needs(ID, f"the connect_timeout of {workload.name}", seconds, pool.place)
            continue
        patience = patience_of(chain, pool)
        if seconds.known >= LONG_S or seconds.known >= (patience.known or math.inf):
            yield _finding(workload, pool, patience.known)


def _finding(workload: Workload, pool: Pool, patience_s: float | None) -> Finding:
    seconds = pool.connect_timeout_s
    if math.isinf(seconds.known or 0.0):
        lasts = "has no limit of its own (the system's, for minutes)"
    else:
        whose = f" (the default of {seconds.why})" if seconds.origin == "default" else ""
        lasts = f"may last {seconds.known:g} s{whose}"
    meanwhile = "" if patience_s is None else f", and its gateway gives up after {patience_s:g} s"
    return Finding(
        ID,
        "warning",
        seconds.place or pool.place,
        f"an attempt of {workload.name} to connect {lasts}{meanwhile}: where the database's host "
        "is gone without a word (a failover, a network that drops packets), each request hangs "
        "for so long, its place in the pool with it",
        _fix(pool),
    )


def _fix(pool: Pool) -> str:
    if pool.implementation == "asyncpg":
        return "Give create_pool a timeout of a few seconds."
    if pool.implementation == "psycopg-pool":
        where = 'kwargs={"connect_timeout": 5}'
    elif pool.implementation == "django":
        return 'Set "OPTIONS": {"connect_timeout": 5}.'
    else:
        where = 'connect_args={"connect_timeout": 5} (asyncpg: {"timeout": 5})'
    return f"Set connect_timeout to a few seconds, in the URL or in {where}."
