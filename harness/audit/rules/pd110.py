"""Connections that are used last in, first out, and never checked."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Edit, Finding, Unknown
from harness.audit.parts import Pool

ID = "PD110"
TITLE = "Idle connections stay at the bottom of the pool until they are dead"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """``use_lifo`` without pre_ping or recycle."""
    for workload, pool in chain.pools():
        if not pool.use_lifo.known or pool.pre_ping.known is not False:
            continue
        if pool.recycle_s.known is not None and math.isinf(pool.recycle_s.known):
            yield Finding(
                ID,
                "warning",
                pool.use_lifo.place or pool.place,
                f"the pool of {workload.name} is used last in, first out, and is never checked: "
                "what lies at its bottom is closed by the server or the network unnoticed, and "
                "fails in the next surge",
                "Set pool_pre_ping=True, or a pool_recycle below the server's and the network's "
                "idle timeouts.",
                _checked(pool),
            )


def _checked(pool: Pool) -> Edit | None:
    """pre_ping turned on where it is off, or added behind ``pool_use_lifo`` in a Python call."""
    off, lifo = pool.pre_ping, pool.use_lifo
    if off.origin == "file" and off.place is not None:
        return Edit(off.place, "false", "true")
    if lifo.place is not None and lifo.place.key == "pool_use_lifo":
        return Edit(lifo.place, "True", "True, pool_pre_ping=True")
    return None
