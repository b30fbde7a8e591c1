"""Connections that are dead, and are handed out unchecked."""

from __future__ import annotations

import math

from harness.audit.proofs.subject import (
    Proof,
    Setting,
    Subject,
    fleet,
    gateway_settings,
    needed,
    room,
    seconds,
    setting,
    work,
)
from harness.audit.values import Value
from harness.errors import UsageError

HOLD_S = 0.02
RATE_PER_S = 14.0
"""What the incident has, where no file says it."""

SHORTEST_S = 9.0


def handed_out(subject: Subject) -> Proof:
    """All idle connections are ended at once, and the pool looks at none of them.

    The incident ends them by a failover; what the pool makes of it is the same.
    """
    rule, pool = subject.finding.id, subject.pool
    if pool.implementation != "psycopg-pool":
        raise UsageError(
            f"{rule}: the incident plays psycopg's pool, which keeps its other connections when "
            "one is found dead; this one does not, or no file says which it is"
        )
    if pool.pre_ping.known is not False:
        raise UsageError(f"{rule}: this pool checks its connections: nothing can be shown")
    least = needed(pool.min_size, "min_size, the connections that a process keeps")
    if least < 1:
        raise UsageError(f"{rule}: the pool keeps no idle connections that could be dead")
    most = needed(pool.capacity, "the pool's capacity")
    recycle = pool.recycle_s
    at: Value[str] = Value.at("psycopg-pool", pool.place)
    audited: list[Setting] = [
        *fleet(subject),
        setting("service.pool.implementation", "psycopg-pool", at),
        setting("service.pool.size", f"{most:g}", pool.size),
        setting("service.pool.max_overflow", "0", pool.max_overflow),
        setting("service.pool.min_size", f"{least:g}", pool.min_size),
        setting("service.pool.pre_ping", "false", pool.pre_ping),
        *gateway_settings(subject),
        work(subject, HOLD_S),
        room(subject),
    ]
    if recycle.known is not None and math.isfinite(recycle.known):
        audited.append(setting("service.pool.recycle", seconds(recycle.known), recycle))
    if pool.timeout_s.known is not None:
        timeout = seconds(pool.timeout_s.known)
        audited.append(setting("service.pool.timeout", timeout, pool.timeout_s))
    dead = least * (subject.workload.instances.known or 2)
    # Each dead connection is found by one login: until all are, and one more second.
    surge_s = max(SHORTEST_S, dead / RATE_PER_S + 1)
    remedy = {"service.pool.pre_ping": "true"}
    return Proof(rule, "stale-after-failover", tuple(audited), remedy, surge_s)


def kept_too_long(subject: Subject) -> Proof:
    """The same, of a pool that would replace them later."""
    if "busy or not" in subject.finding.message:
        raise UsageError(
            "PD109: no incident ends connections that are busy, and a check does not help there"
        )
    return handed_out(subject)
