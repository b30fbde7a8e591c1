"""A PgBouncer whose reserve comes too late, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.parts import Pooler
from harness.audit.rules.counts import of_pooler, of_pools
from harness.audit.rules.inputs import counted
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
    reserve = f"its {counted(pooler.reserve_pool_size.known or 0.0, 'reserve connection')}"
    shown = f"opens {reserve} after a wait of {after.known:g} s"
    if math.isinf(after.known):
        shown = f"never opens {reserve}"
    yield Finding(
        ID,
        "warning",
        after.place or pooler.place,
        f"{pooler.name} {shown}, and a request is waited for {patience:g} s: the reserve helps "
        "nobody",
        f"Set reserve_pool_timeout well below {patience:g} s: {min(1.0, patience / 2):g}, say.",
    )


def _off(chain: Chain, pooler: Pooler) -> Iterator[Finding]:
    clients, own = of_pools(chain.behind(pooler)), of_pooler(chain, pooler)
    if pooler.pool_mode.known == "session" or own.lacks or clients.most <= own.most:
        return
    many = "any number of" if math.isinf(clients.most) else f"{clients.most:g}"
    yield Finding(
        ID,
        "note",
        pooler.reserve_pool_size.place or pooler.place,
        f"the pools may have {many} connections to {pooler.name}, which has {own.most:g} "
        "behind them and no reserve: in a surge they wait, though the server may have room",
        "Set reserve_pool_size to what the server can spare, with a reserve_pool_timeout of a "
        "second.",
    )
