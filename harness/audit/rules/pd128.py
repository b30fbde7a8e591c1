"""A PgBouncer that closes idle connections which a pool believes in."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown, needs
from harness.audit.rules.inputs import in_seconds, seconds

ID = "PD128"
TITLE = "PgBouncer closes idle connections that the pool keeps"


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """client_idle_timeout ≤ the pool's recycle time, without a check before each use.

    Source: https://www.pgbouncer.org/config.html#client_idle_timeout
    """
    for workload, pool in chain.pools():
        pooler, recycle = chain.pooler_of(pool), pool.recycle_s
        if pooler is None or pool.implementation == "none" or pool.pre_ping.known is True:
            continue
        idle = pooler.client_idle_timeout_s
        if idle.known is None or math.isinf(idle.known):
            continue
        if recycle.known is not None and recycle.known < idle.known:
            continue
        for what, value in (("recycle", recycle), ("pre_ping", pool.pre_ping)):
            if not value.is_known:
                yield needs(ID, f"{what} of {workload.name}'s pool", value, pool.place)
                break
        else:
            kept = seconds(recycle.known or 0.0)
            if math.isfinite(recycle.known or 0.0):
                kept = f"for {kept}"
            yield Finding(
                ID,
                "warning",
                idle.place or pooler.place,
                f"{pooler.name} closes a client's connection that was idle for "
                f"{in_seconds(idle)}, and the pool of {workload.name} keeps its connections "
                f"{kept} and does not check them: after every quiet time, requests fail",
                f"Let the pool replace its connections before {idle.known:g} s or check them "
                "before each use; or leave client_idle_timeout at 0.",
            )
