"""Timeouts that a pool's sessions run with: its own, else the server's."""

from __future__ import annotations

import math
from collections.abc import Callable

from harness.audit.chain import Chain
from harness.audit.parts import Pool, Pooler, Server, Workload
from harness.audit.rules.counts import reaching
from harness.audit.values import Value

Bounded = Callable[[Pool], bool]


def endless(
    chain: Chain,
    server: Server,
    own: Callable[[Pool], Value[float]],
    of_server: Value[float],
    bounded: Bounded,
) -> tuple[Value[float], tuple[Pool, ...]] | None:
    """The first value that lets pools of ``server`` go on for ever, and those pools.

    ``own`` is what a pool says itself, which holds over the server's; ``bounded`` is whether
    something else ends it. None where each pool has an end, or where that is not known.
    """
    found: list[tuple[Value[float], Pool]] = []
    for _, pool in reaching(chain, server):
        value = own(pool).or_else(of_server)
        if value.known is not None and math.isinf(value.known) and not bounded(pool):
            found.append((value, pool))
    if not found:
        return None
    return found[0][0], tuple(pool for _, pool in found)


def transaction_timeout_of(chain: Chain, pool: Pool) -> Value[float]:
    """After which a transaction is ended with its session, whatever it does (PostgreSQL 17).

    A statement is one, or a part of one.
    Source:
    https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-TRANSACTION-TIMEOUT
    """
    server = chain.server_of(pool)
    own = pool.transaction_timeout_s
    return own if server is None else own.or_else(server.transaction_timeout_s)


def is_finite(timeout_s: Value[float]) -> bool:
    """Whether it is known to end."""
    return timeout_s.known is not None and math.isfinite(timeout_s.known)


def patience_of(chain: Chain, workload: Workload, pool: Pool) -> Value[float]:
    """For how long a gateway waits for requests of this pool, the least; else the objective.

    A job queue's worker has neither.
    """
    if workload.serves.known is False:
        return Value.unknown("nobody waits for it")
    timeouts = [each.timeout_s for each in chain.gateways_of(pool)]
    waits = [each for each in timeouts if each.is_known]
    return min(waits, key=lambda each: each.known or 0.0) if waits else chain.slo_s


def due_s(chain: Chain, pooler: Pooler) -> float | None:
    """Within which requests through ``pooler`` are of use: to a gateway, and to the objective."""
    serving = [each for each in chain.behind(pooler) if each[0].serves.known is not False]
    waits = [patience_of(chain, *each).known for each in serving]
    known = [each for each in (*waits, chain.slo_s.known) if each is not None]
    return min(known) if serving and known else None
