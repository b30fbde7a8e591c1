"""A pool that grows when it has no time to."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.rules.inputs import counted

ID = "PD115"
TITLE = "The pool opens its connections in the surge that needs them"

GROWING = {"psycopg-pool": "min_size", "asyncpg": "min_size", "hikari": "minimumIdle"}
"""Pools that keep a least number of connections, with their name for it."""


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """min_size < max_size.

    Sources: https://github.com/brettwooldridge/HikariCP#gear-configuration-knobs-baby
    (minimumIdle), https://www.psycopg.org/psycopg3/docs/advanced/pool.html
    """
    for workload, pool in chain.pools():
        least, size = pool.min_size.known, pool.size.known
        if pool.implementation not in GROWING or least is None or size is None:
            continue
        if least >= size or math.isinf(size) or workload.serves.known is False:
            continue
        name = GROWING[pool.implementation]
        yield Finding(
            ID,
            "note",
            pool.min_size.place or pool.place,
            f"the pool of {workload.name} keeps {least:g} of {counted(size, 'connection')}: the "
            "rest is opened while requests already wait, each with a handshake at a database "
            "that is busy as well",
            f"Set {name} to {size:g}, as its maximum, where a surge must be served from its first "
            "second.",
        )
