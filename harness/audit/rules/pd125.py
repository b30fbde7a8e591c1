"""A PgBouncer that opens its connections only when the surge is there."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown

ID = "PD125"
TITLE = "PgBouncer has no connection open when a surge comes"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """``min_pool_size = 0``, where idle connections are closed and a peak is declared."""
    for pooler in chain.poolers:
        least, idle = pooler.min_pool_size, pooler.server_idle_timeout_s.known
        if least.known != 0 or idle is None or math.isinf(idle) or not chain.behind(pooler):
            continue
        if not chain.peak_per_s.known:
            continue
        yield Finding(
            ID,
            "note",
            least.place or pooler.place,
            f"{pooler.name} closes connections that were idle for {idle:g} s and keeps none: the "
            f"first of {chain.peak_per_s.known:g} logins a second wait until connections are "
            "opened, one after another",
            "Set min_pool_size to what a usual load needs; it holds while a client is connected, "
            "or with a user= in the database's line.",
        )
