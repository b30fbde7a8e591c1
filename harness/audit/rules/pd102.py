"""A pool without a limit."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs

ID = "PD102"
TITLE = "The pool has no limit"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """``max_overflow=-1``, ``pool_size=0``, or no pool at all."""
    for workload, pool in chain.pools():
        if pool.implementation == "none":
            yield Finding(
                ID,
                "warning",
                pool.place,
                f"{workload.name} opens a connection for each request: in a surge nothing limits "
                "how many, and each pays for connecting",
                "Give it a pool, or put a PgBouncer between and limit it there.",
            )
        elif not pool.capacity.is_known:
            yield needs(ID, f"the capacity of {workload.name}'s pool", pool.capacity, pool.place)
        elif math.isinf(pool.capacity.known or 0.0):
            yield Finding(
                ID,
                "error",
                pool.capacity.place or pool.place,
                f"the pool of {workload.name} has no limit: in a surge it takes every connection "
                "of the database, and everybody else is refused",
                "Set a size and a max_overflow that the database can grant.",
            )
