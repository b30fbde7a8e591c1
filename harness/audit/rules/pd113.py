"""An attempt to connect that lasts for longer than anybody waits."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Pool, Workload
from harness.audit.rules.inputs import outlasts
from harness.audit.rules.timeouts import patience_of
from harness.audit.values import Value

ID = "PD113"
TITLE = "Nothing ends an attempt to connect while somebody still waits"

LONG_S = 60.0
"""Drivers' own defaults are so long, or longer: no request waits for a minute."""

# asyncpg takes connect_timeout in a URL for a setting of the server's, and is refused.
_FIX = (
    "Set connect_timeout to a few seconds, in the URL or in "
    'connect_args={"connect_timeout": 5}; for asyncpg it is connect_args={"timeout": 5}.'
)
_FIXES = {
    "asyncpg": "Give create_pool a timeout of a few seconds.",
    "django": 'Set "OPTIONS": {"connect_timeout": 5}.',
    "hikari": "Set connectTimeout to a few seconds in the JDBC URL (?connectTimeout=5).",
    "psycopg-pool": "Set connect_timeout to a few seconds, in the URL or in "
    'kwargs={"connect_timeout": 5}.',
}


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """No connect_timeout, or one that is not below what the gateway waits for.

    Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-CONNECT-TIMEOUT
    """
    for workload, pool in chain.pools():
        seconds = pool.connect_timeout_s
        if (url := _unread_url(pool)) is not None:
            yield needs(ID, f"the connect_timeout of {workload.name}", url, pool.place)
            continue
        if seconds.known is None:
            if seconds.variable is not None or seconds.place is not None:
                yield needs(ID, f"the connect_timeout of {workload.name}", seconds, pool.place)
            continue
        patience = patience_of(chain, workload, pool)
        if seconds.known >= LONG_S or outlasts(seconds, patience):
            yield _finding(workload, pool, patience.known)


def _unread_url(pool: Pool) -> Value[float] | None:
    """Why a driver's default need not hold: all of the URL is filled in, and may say otherwise.

    None where the URL is known, where the code itself says how long an attempt lasts, and where no
    URL has a say in it.
    """
    seconds, host = pool.connect_timeout_s, pool.target.host
    decides = seconds.variable
    if seconds.origin != "default" or decides is None or host.is_known:
        return None
    if host.variable is None or host.variable.name != decides.name:
        return None
    why = f"the database URL is filled in elsewhere: {decides.name}"
    return Value.unknown(why, host.place or pool.place)


def _finding(workload: Workload, pool: Pool, patience_s: float | None) -> Finding:
    seconds = pool.connect_timeout_s
    if math.isinf(seconds.known or 0.0):
        lasts = "has no limit of its own (the system's, for minutes)"
    else:
        whose = f" (the default of {seconds.why})" if seconds.origin == "default" else ""
        lasts = f"may last {seconds.known:g} s{whose}"
    listens = patience_s is not None and math.isfinite(patience_s)
    meanwhile = "" if not listens else f", and a request is waited for {patience_s:g} s"
    return Finding(
        ID,
        "warning",
        seconds.place or pool.place,
        f"an attempt of {workload.name} to connect {lasts}{meanwhile}: where the database's host "
        "is gone without a word (a failover, a network that drops packets), each request hangs "
        "for so long, its place in the pool with it",
        _FIXES.get(pool.implementation, _FIX),
    )
