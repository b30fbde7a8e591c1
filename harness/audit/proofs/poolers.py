"""A PgBouncer that has less than the pools before it ask for."""

from __future__ import annotations

import math

from harness.audit.parts import Pooler
from harness.audit.proofs.subject import (
    Proof,
    Setting,
    Subject,
    fleet,
    gateway_settings,
    needed,
    peak_or,
    pool_settings,
    processes,
    room,
    seconds,
    setting,
    work,
)
from harness.errors import UsageError

INCIDENT = "pgbouncer-saturated"
HOLD_S = 0.4
"""What the incident has, where no file says it."""


def behind_pooler(subject: Subject) -> Proof:
    """More clients of a session-mode PgBouncer than it has server connections."""
    pooler = _pooler(subject)
    size = needed(pooler.default_pool_size, "default_pool_size")
    instances = processes(subject)
    capacity = needed(subject.pool.capacity, "the pool's capacity")
    if pooler.pool_mode.known not in (None, "session"):
        raise UsageError("PD120: no connection of a pool keeps one of PgBouncer's in this mode")
    if instances * capacity <= size:
        raise UsageError("PD120: this pool alone keeps no more than PgBouncer has")
    work_s = subject.workload.hold_s.known or 0.4
    rate = peak_or(subject, 0.9 * instances * capacity / work_s)
    audited = (
        *fleet(subject),
        *pool_settings(subject.pool),
        *gateway_settings(subject),
        setting("pgbouncer.default_pool_size", f"{size:g}", pooler.default_pool_size),
        setting("pgbouncer.pool_mode", pooler.pool_mode.known or "session", pooler.pool_mode),
        work(subject, 0.4),
        rate,
        room(subject),
    )
    remedy = {"pgbouncer.default_pool_size": f"{instances * capacity:g}"}
    return Proof("PD120", "pgbouncer-saturated", audited, remedy, cures=True)


def fewer_clients(subject: Subject) -> Proof:
    """A PgBouncer that refuses the pools' connections, of which it could serve more."""
    pooler = _pooler(subject)
    takes = needed(pooler.max_client_conn, "max_client_conn")
    instances = processes(subject)
    most = instances * needed(subject.pool.capacity, "the pool's capacity")
    hold_s = subject.workload.hold_s.known or HOLD_S
    if most <= takes:
        raise UsageError("PD122: PgBouncer takes all that the pools may open")
    if pooler.pool_mode.known not in (None, "session"):
        raise UsageError(
            "PD122: only session mode is played: in another the service's prepared statements fail "
            "with a PgBouncer before 1.21, whatever it takes"
        )
    served = min(most, needed(pooler.default_pool_size, "default_pool_size"))
    if served < 1.2 * takes:
        raise UsageError(
            f"PD122: {pooler.name} has {served:g} connections for {takes:g} clients, so that its "
            "queue is full before anybody is refused",
            remedy="PD120 says what comes first.",
        )
    audited = (
        *fleet(subject),
        *pool_settings(subject.pool),
        *gateway_settings(subject),
        *_of_pooler(pooler),
        work(subject, HOLD_S),
        # What keeps half as many again busy as it takes, or nearly all that it serves.
        peak_or(subject, min(1.5 * takes, 0.9 * served) / hold_s),
        room(subject),
    )
    remedy = {"pgbouncer.max_client_conn": str(math.ceil(most))}
    return Proof("PD122", INCIDENT, audited, remedy, cures=True)


def _pooler(subject: Subject) -> Pooler:
    if subject.pooler is None:
        raise UsageError(f"{subject.finding.id}: no PgBouncer is known")
    return subject.pooler


def _of_pooler(pooler: Pooler) -> tuple[Setting, ...]:
    """What is known of it, of what the incident has."""
    counts = {
        "default_pool_size": pooler.default_pool_size,
        "reserve_pool_size": pooler.reserve_pool_size,
        "max_client_conn": pooler.max_client_conn,
    }
    found = [
        setting(f"pgbouncer.{name}", f"{value.known:g}", value)
        for name, value in counts.items()
        if value.known is not None and math.isfinite(value.known)
    ]
    if pooler.pool_mode.known in ("session", "transaction"):
        found.append(setting("pgbouncer.pool_mode", pooler.pool_mode.known, pooler.pool_mode))
    wait = pooler.query_wait_timeout_s
    if wait.known is not None:
        never = math.isinf(wait.known)
        found.append(
            setting("pgbouncer.query_wait_timeout", "0s" if never else seconds(wait.known), wait)
        )
    return tuple(found)
