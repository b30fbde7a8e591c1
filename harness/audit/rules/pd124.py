"""A PgBouncer whose reserve comes too late, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain, Pooler
from harness.audit.finding import Finding, Unknown
from harness.audit.rules.counts import of_pools
from harness.audit.rules.timeouts import due_s

ID = "PD124"
TITLE = "PgBouncer's reserve connections come after everybody has left, or never"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """reserve_pool_timeout ≥ what a request may take; or no reserve, where clients may queue."""
    for pooler in chain.poolers:
        size = pooler.reserve_pool_size.known
        if size is None:
            continue
        yield from _late(chain, pooler) if size > 0 else _off(chain, pooler)


def _late(chain: Chain, pooler: Pooler) -> Iterator[Finding]:
    after = pooler.reserve_pool_timeout_s
    patience = due_s(chain, pooler)
    if patience is None or after.known is None or after.known < patience:
        return
    shown = "never" if math.isinf(after.known) else f"after a wait of {after.known:g} s"
    yield Finding(
        ID,
        "warning",
        after.place or pooler.place,
        f"{pooler.name} opens its {pooler.reserve_pool_size.known:g} reserve connections {shown}, "
        f"and a request is waited for {patience:g} s: the reserve helps nobody",
        f"Set reserve_pool_timeout well below {patience:g} s: 1, say.",
    )


def _off(chain: Chain, pooler: Pooler) -> Iterator[Finding]:
    clients, size = of_pools(chain.behind(pooler)), pooler.default_pool_size
    if pooler.pool_mode.known == "session" or size.known is None or clients.most <= size.known:
        return
    yield Finding(
        ID,
        "note",
        pooler.reserve_pool_size.place or pooler.place,
        f"the pools may have {clients.most:g} connections to {pooler.name}, which has {size} "
        "behind them and no reserve: in a surge they wait, though the server may have room",
        "Set reserve_pool_size to what the server can spare, with a reserve_pool_timeout of a "
        "second.",
    )
