"""A pool that replaces its connections later than something on the way ends them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.parts import Pool, Workload
from harness.audit.rules.inputs import in_seconds
from harness.audit.rules.pd108 import shortest_limit

ID = "PD109"
TITLE = "The pool replaces its connections after something on the way has ended them"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """recycle ≥ the idle timeout of a server or a proxy, without a check before each use.

    Where a proxy ends busy connections too, no check helps.
    """
    for workload, pool in chain.pools():
        if pool.implementation == "none":
            continue
        recycle = pool.recycle_s.known
        place = pool.recycle_s.place or pool.place
        name, longest_s = _longest(chain)
        if recycle is not None and recycle >= longest_s and math.isfinite(longest_s):
            yield Finding(
                ID,
                "warning",
                place,
                f"{name} ends every connection after {longest_s:g} s, busy or not, and "
                f"{workload.name}'s pool keeps them for longer: requests are cut in the middle",
                f"Set the pool's recycle time below {longest_s:g} s, by more than a request takes.",
            )
        elif recycle is not None and math.isfinite(recycle):
            yield from _idle(chain, workload, pool, recycle)


def _idle(
    chain: Chain, workload: Workload, pool: Pool, recycle: float
) -> Iterator[Finding | Unknown]:
    limit = shortest_limit(chain, pool)
    if limit is None or pool.pre_ping.known is True or recycle < (limit[1].known or 0.0):
        return
    if not pool.pre_ping.is_known:
        yield needs(ID, f"pre_ping of {workload.name}'s pool", pool.pre_ping, pool.place)
        return
    name, seconds = limit
    yield Finding(
        ID,
        "warning",
        pool.recycle_s.place or pool.place,
        f"{workload.name}'s pool replaces connections that are older than {recycle:g} s, and "
        f"{name} ends those that were idle for {in_seconds(seconds)}: requests fail on "
        "connections that are dead",
        f"Set the pool's recycle time below {seconds.known:g} s, by half a minute at least, or "
        "check connections before each use.",
    )


def _longest(chain: Chain) -> tuple[str, float]:
    """The proxy that ends connections first, busy or not."""
    ends = [(each.longest_s.known, each.name) for each in chain.proxies]
    known = [(seconds, name) for seconds, name in ends if seconds is not None]
    seconds, name = min(known, default=(math.inf, ""))
    return name, seconds
