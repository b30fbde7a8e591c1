"""A pool at which anybody may queue."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown

ID = "PD114"
TITLE = "The queue for a connection has no bound"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """psycopg_pool's ``max_waiting=0``."""
    for workload, pool in chain.pools():
        waiting = pool.max_waiting.known
        if pool.implementation != "psycopg-pool" or waiting is None or math.isfinite(waiting):
            continue
        yield Finding(
            ID,
            "note",
            pool.max_waiting.place or pool.place,
            f"any number of requests may wait for a connection of {workload.name}: in a surge all "
            "of them wait until the timeout, and those behind for nothing",
            "Set max_waiting to what the pool serves within its timeout: size × timeout / hold "
            "time; further requests are refused at once.",
        )
