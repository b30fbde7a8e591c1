"""Pools and threads that carry less than is asked for, or ask for more than there is."""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness.audit.proofs.subject import (
    Proof,
    Setting,
    Subject,
    connections,
    derived,
    fleet,
    gateway_settings,
    needed,
    one_at_least,
    overload,
    peak_or,
    pool_settings,
    processes,
    room,
    seconds,
    setting,
    work,
)
from harness.audit.rules.inputs import held_at_most, used_at_most
from harness.audit.values import Value
from harness.errors import UsageError

SPARE = 1.3
"""Capacity over demand that a remedy is given."""


def undersized(subject: Subject) -> Proof:
    """Peak against size / hold: all of it must be known, for the ratio is the finding."""
    instances = processes(subject)
    hold_s = needed(subject.workload.hold_s, "how long a request holds a connection (--hold)")
    peak = needed(subject.chain.peak_per_s, "the peak (--peak)")
    carried = subject.carried_per_s or 0.0
    if carried >= peak:
        raise UsageError("PD142: these pools carry the peak, and no incident plays what stops it")
    size = math.ceil(SPARE * peak * hold_s / instances)
    threads = _threads_that_bind(subject)
    audited = (
        *fleet(subject),
        *(
            each
            for each in pool_settings(subject.pool)
            if not threads or "implementation" not in each.path
        ),
        *threads,
        *gateway_settings(subject),
        setting("service.work", seconds(hold_s), subject.workload.hold_s),
        setting("load.phases.surge.rate", f"{peak:g}/s", subject.chain.peak_per_s),
        derived("load.phases.baseline.rate", f"{min(8.0, 0.4 * carried):g}/s", "below capacity"),
        room(subject),
    )
    remedy = {
        **({"service.pool.threads": str(size)} if threads else {}),
        "service.pool.size": str(size),
        "service.pool.max_overflow": "0",
        "database.max_connections": str(connections(instances * size)),
    }
    return Proof("PD142", "undersized-pool", audited, remedy, cures=True, apart=True)


def _threads_that_bind(subject: Subject) -> tuple[Setting, ...]:
    """Threads of which there are fewer than connections; () where the pool is what binds."""
    used, capacity = used_at_most(subject.workload, subject.pool), subject.pool.capacity.known
    if used is None or capacity is None or used >= capacity:
        return ()
    threads = subject.pool.threads
    return (
        derived("service.pool.implementation", "sqlalchemy-sync", "the one with threads"),
        setting("service.pool.threads", f"{threads.known:g}", threads),
    )


def budget(subject: Subject) -> Proof:
    """Pools that ask the server for more than it grants, driven until they do."""
    instances = processes(subject)
    capacity = needed(subject.pool.capacity, "the pool's capacity")
    server = subject.chain.server_of(subject.pool)
    if server is None:
        raise UsageError("PD101: which server the pool connects to is not known")
    most = needed(server.max_connections, "max_connections")
    reserved = int(server.reserved.known or 0)
    grant = needed(server.grant, "what the server grants")
    if instances * capacity <= grant:
        raise UsageError(
            "PD101: this pool alone asks for no more than the server grants, and the incident "
            "plays one deployment"
        )
    hold_s = subject.workload.hold_s.known or 1.5
    wanted = instances * capacity / hold_s
    peak_per_s = subject.chain.peak_per_s.known
    kept = instances * (subject.pool.min_size.known or 0.0)
    if peak_per_s is not None and max(peak_per_s * hold_s, kept) <= grant:
        raise UsageError(
            f"PD101: at the declared peak requests hold {peak_per_s * hold_s:.4g} connections at "
            f"once, and the server grants {grant:g}: nobody is refused before they hold them for "
            "longer",
            remedy="Give the peak, or the --hold of a bad day, at which it is to be shown; without "
            "--peak one is chosen that fills the pools.",
        )
    # What keeps seven tenths of all connections busy: too many for the server, not for the pools.
    rate = peak_or(subject, 0.7 * wanted)
    audited = (
        *fleet(subject),
        *pool_settings(subject.pool),
        *gateway_settings(subject),
        setting("database.max_connections", f"{most:g}", server.max_connections),
        setting("database.reserved_connections", str(reserved), server.reserved),
        setting("service.work", seconds(hold_s), subject.workload.hold_s),
        rate,
    )
    remedy = {"database.max_connections": str(connections(instances * capacity + reserved))}
    return Proof("PD101", "too-many-clients", audited, remedy, cures=True)


def unlimited(subject: Subject) -> Proof:
    """A pool that takes all that the server has, in a surge that a queue would have borne."""
    workload, pool = subject.workload, subject.pool
    instances = processes(subject)
    server = subject.chain.server_of(pool)
    if server is None:
        raise UsageError("PD102: which server the pool connects to is not known")
    most = needed(server.max_connections, "max_connections")
    grant = needed(server.grant, "what the server grants")
    if instances * held_at_most(workload, pool) <= grant:
        raise UsageError(
            "PD102: its threads hold no more than the server grants: nobody is refused"
        )
    capacity = math.floor((grant - WATCHING) / instances)
    if capacity < 1:
        raise UsageError("PD102: the server has not one connection for each process")
    hold_s = workload.hold_s.known or 1.5
    carried = instances * capacity / hold_s
    rate, ratio = overload(subject, of=1.6, work_s=hold_s, carried=carried)
    waits = [pool.timeout_s.known or 2.0, (subject.gateway_s or 8.0) - hold_s, PATIENCE_S - hold_s]
    audited = (
        *fleet(subject),
        *_without_limit(subject),
        *gateway_settings(subject),
        setting("database.max_connections", f"{most:g}", server.max_connections),
        setting(
            "database.reserved_connections", f"{server.reserved.known or 0:g}", server.reserved
        ),
        work(subject, hold_s),
        rate,
        derived("load.phases.baseline.rate", f"{min(2.0, 0.2 * carried):g}/s", "well below it"),
    )
    remedy = _limited(subject, capacity)
    # So long that who queues is served before anybody gives up: (ρ − 1)·t of work is left behind.
    # And no shorter than it takes until the first have given their connections back.
    surge_s = max(2.0, 1.2 * hold_s, 0.6 * min(waits) / (ratio - 1))
    return Proof("PD102", "too-many-clients", audited, remedy, surge_s, cures=True)


WATCHING = 3
"""Connections that are left for who watches the server, which the harness does as well."""

PATIENCE_S = 6.0
"""For how long the incident's users wait."""


def _without_limit(subject: Subject) -> tuple[Setting, ...]:
    """The pool as it is: none at all, or one whose size or overflow has no limit."""
    pool = subject.pool
    if pool.implementation == "none":
        at: Value[str] = Value.at("none", pool.place)
        return (setting("service.pool.implementation", "none", at),)
    size, overflow = pool.size.known, pool.max_overflow.known
    if size is not None and math.isinf(size):
        return (setting("service.pool.size", "0", pool.size),)
    if overflow is None or not math.isinf(overflow):
        raise UsageError("PD102: this pool has a limit: nothing can be shown")
    found = [
        setting("service.pool.size", f"{size or 0:g}", pool.size),
        setting("service.pool.max_overflow", "-1", pool.max_overflow),
    ]
    if pool.timeout_s.known is not None:
        found.append(setting("service.pool.timeout", seconds(pool.timeout_s.known), pool.timeout_s))
    return tuple(found)


def _limited(subject: Subject, capacity: int) -> Mapping[str, str]:
    """Both numbers set, so that all pools together are what the server grants."""
    limits = {"service.pool.size": str(capacity), "service.pool.max_overflow": "0"}
    if subject.pool.implementation == "none":
        return {"service.pool.implementation": "sqlalchemy-async", **limits}
    return limits


def hidden_queue(subject: Subject) -> Proof:
    threads = needed(subject.pool.threads, "the threads before the pool")
    capacity = needed(subject.pool.capacity, "the pool's capacity")
    if threads > capacity:
        raise UsageError("PD105: there are more threads than connections: the pool has the queue")
    work_s = subject.workload.hold_s.known or 0.3
    instances = one_at_least(subject)
    audited = (
        *fleet(subject),
        *(each for each in pool_settings(subject.pool) if "implementation" not in each.path),
        setting("service.pool.threads", f"{threads:g}", subject.pool.threads),
        *gateway_settings(subject),
        work(subject, 0.3),
        derived(
            "load.phases.surge.rate",
            f"{1.5 * instances * min(threads, capacity) / (work_s + 0.01):g}/s",
            "one and a half times what the threads carry",
        ),
        room(subject),
    )
    remedy = {"service.pool.threads": f"{4 * capacity:g}"}
    return Proof("PD105", "hidden-queue", audited, remedy, cures=True, apart=True)


def pool_lock(subject: Subject) -> Proof:
    audited = (
        *fleet(subject),
        *pool_settings(subject.pool),
        *gateway_settings(subject),
        work(subject, 0.11),
        overload(subject, of=0.75, work_s=0.11)[0],
        room(subject),
    )
    remedy = {"service.defects": "[]"}
    return Proof("PD106", "pool-lock", audited, remedy, cures=True, apart=True)


def teardown(subject: Subject) -> Proof:
    audited = (*pool_settings(subject.pool), *gateway_settings(subject))
    return Proof("PD107", "session-over-teardown", audited, {"service.defects": "[]"}, cures=True)
