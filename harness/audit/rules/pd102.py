"""A pool without a limit."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Pool, Workload
from harness.audit.rules.inputs import counted, held_at_most

ID = "PD102"
TITLE = "The pool has no limit"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """``max_overflow=-1``, ``pool_size=0``, or no pool at all.

    Threads limit both; without a pool, so does a PgBouncer, which is a pool.
    """
    for workload, pool in chain.pools():
        most = held_at_most(workload, pool)
        if pool.implementation == "none":
            if chain.pooler_of(pool) is None:
                yield _without(workload, pool, most)
        elif not pool.capacity.is_known:
            yield needs(ID, f"the capacity of {workload.name}'s pool", pool.capacity, pool.place)
        elif math.isinf(pool.capacity.known or 0.0):
            if math.isfinite(most):
                yield Finding(
                    ID,
                    "note",
                    pool.capacity.place or pool.place,
                    f"the pool of {workload.name} has no limit of its own: what its threads hold "
                    f"at once ({counted(most, 'connection')} a process) is all that bounds it",
                    "Set a size and a max_overflow that the database can grant.",
                )
                continue
            yield Finding(
                ID,
                "error",
                pool.capacity.place or pool.place,
                f"the pool of {workload.name} has no limit: in a surge it takes every connection "
                "of the database, and everybody else is refused",
                "Set a size and a max_overflow that the database can grant.",
            )


def _without(workload: Workload, pool: Pool, most: float) -> Finding:
    bounded = math.isfinite(most)
    how_many = (
        f"up to {most:g} at once in each process, and each request pays for connecting"
        if bounded
        else "in a surge nothing limits how many, and each pays for connecting"
    )
    return Finding(
        ID,
        "note" if bounded else "warning",
        pool.place,
        f"{workload.name} opens a connection for each request: {how_many}",
        "Give it a pool, or put a PgBouncer between and limit it there.",
    )
