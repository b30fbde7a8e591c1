"""How a finding can be shown to do harm: an incident with exactly the audited values.

For each rule that has one: which incident plays it, which of its settings the audited values are,
and what removes the defect. What no file says stays as the incident has it, and is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from harness.audit.chain import Chain
from harness.audit.finding import Finding
from harness.audit.parts import Gateway, Pool, Workload
from harness.audit.rules.inputs import used_at_most
from harness.audit.values import Place, Value
from harness.errors import UsageError

SUPERUSER_RESERVED = 3
"""What the played server keeps for superusers; PostgreSQL's default."""

SPARE = 1.3
"""Capacity over demand that a remedy is given."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One audited value, as the incident's setting ``path``; ``value`` is YAML on one line."""

    path: str
    value: str
    place: Place | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is to be played: ``incident`` with ``audited``, and once more with ``remedy`` besides.

    ``surge_s`` is for how long the surge must last to show it, where that follows from the values.
    """

    rule: str
    incident: str
    audited: tuple[Setting, ...]
    remedy: Mapping[str, str]
    surge_s: float | None = None

    def overrides(self) -> dict[str, str]:
        """The audited values as ``--set`` takes them."""
        return {setting.path: setting.value for setting in self.audited}


@dataclass(frozen=True, slots=True)
class _Subject:
    """The pool that a finding is about, with what stands around it."""

    chain: Chain
    workload: Workload
    pool: Pool

    @property
    def gateway(self) -> Gateway | None:
        serving = [
            each for each in self.chain.gateways_of(self.pool) if each.timeout_s.known is not None
        ]
        return min(serving, key=lambda each: each.timeout_s.known or 0.0, default=None)

    @property
    def carried_per_s(self) -> float | None:
        """Requests a second of all processes together; None where something is unknown."""
        count, used = self.workload.instances.known, used_at_most(self.workload, self.pool)
        hold_s = self.workload.hold_s.known
        if count is None or used is None or not hold_s:
            return None
        return count * used / hold_s


def proof(finding: Finding, chain: Chain) -> Proof:
    """How ``finding`` is shown. Raises `UsageError` where no incident plays it."""
    if finding.id not in _PROOFS:
        raise UsageError(
            f"no incident shows what {finding.id} says",
            remedy=f"There are for: {', '.join(sorted(_PROOFS))}.",
        )
    if not chain.pools():
        raise UsageError(f"{finding.id} is about no pool that was read: nothing can be played")
    workload, pool = _about(finding.place, chain)
    return _PROOFS[finding.id](_Subject(chain, workload, pool))


def provable() -> tuple[str, ...]:
    """The rules that can be shown."""
    return tuple(sorted(_PROOFS))


def _about(place: Place, chain: Chain) -> tuple[Workload, Pool]:
    """The pool that has a value at ``place``; else the first."""
    for workload, pool in chain.pools():
        values = [getattr(pool, each.name) for each in fields(pool)]
        places = {each.place for each in values if isinstance(each, Value)}
        if place in places or place == pool.place:
            return workload, pool
    return chain.pools()[0]


def _undersized(subject: _Subject) -> Proof:
    """Peak against size / hold: all of it must be known, for the ratio is the finding."""
    instances = _needed(subject.workload.instances, "the processes")
    hold_s = _needed(subject.workload.hold_s, "how long a request holds a connection (--hold)")
    peak = _needed(subject.chain.peak_per_s, "the peak (--peak)")
    carried = subject.carried_per_s or 0.0
    if carried >= peak:
        raise UsageError("PD142: these pools carry the peak, and no incident plays what stops it")
    size = math.ceil(SPARE * peak * hold_s / instances)
    threads = _threads_that_bind(subject)
    audited = (
        *_fleet(subject),
        *(each for each in _pool(subject.pool) if not threads or "implementation" not in each.path),
        *threads,
        *_gateway(subject),
        _setting("service.work", _seconds(hold_s), subject.workload.hold_s),
        _setting("load.phases.surge.rate", f"{peak:g}/s", subject.chain.peak_per_s),
        _derived("load.phases.baseline.rate", f"{min(8.0, 0.4 * carried):g}/s", "below capacity"),
        _room(subject),
    )
    remedy = {
        **({"service.pool.threads": str(size)} if threads else {}),
        "service.pool.size": str(size),
        "service.pool.max_overflow": "0",
        "database.max_connections": str(_connections(instances * size)),
    }
    return Proof("PD142", "undersized-pool", audited, remedy)


def _threads_that_bind(subject: _Subject) -> tuple[Setting, ...]:
    """Threads of which there are fewer than connections; () where the pool is what binds."""
    used, capacity = used_at_most(subject.workload, subject.pool), subject.pool.capacity.known
    if used is None or capacity is None or used >= capacity:
        return ()
    threads = subject.pool.threads
    return (
        _derived("service.pool.implementation", "sqlalchemy-sync", "the one with threads"),
        _setting("service.pool.threads", f"{threads.known:g}", threads),
    )


def _budget(subject: _Subject) -> Proof:
    """Pools that ask the server for more than it grants, driven until they do."""
    instances = _needed(subject.workload.instances, "the processes")
    capacity = _needed(subject.pool.capacity, "the pool's capacity")
    server = subject.chain.server_of(subject.pool)
    if server is None:
        raise UsageError("PD101: which server the pool connects to is not known")
    most = _needed(server.max_connections, "max_connections")
    reserved = int(server.reserved.known or 0)
    hold_s = subject.workload.hold_s.known or 1.5
    wanted = instances * capacity / hold_s
    # What keeps seven tenths of all connections busy: too many for the server, not for the pools.
    rate = _peak_or(subject, 0.7 * wanted)
    audited = (
        *_fleet(subject),
        *_pool(subject.pool),
        *_gateway(subject),
        _setting("database.max_connections", f"{most:g}", server.max_connections),
        _setting("database.reserved_connections", str(reserved), server.reserved),
        _setting("service.work", _seconds(hold_s), subject.workload.hold_s),
        rate,
    )
    remedy = {"database.max_connections": str(_connections(instances * capacity + reserved))}
    return Proof("PD101", "too-many-clients", audited, remedy)


def _beyond_gateway(subject: _Subject) -> Proof:
    """A pool that waits for longer than its gateway: the surge lasts until both have given up."""
    gateway = subject.gateway
    if gateway is None:
        raise UsageError("PD103: no gateway's timeout is known")
    patience_s = gateway.timeout_s.known or 0.0
    rate, ratio = _overload(subject, of=1.8, work_s=0.4)
    audited = (
        *_fleet(subject),
        *_pool(subject.pool),
        _setting("gateway.timeout", _seconds(patience_s), gateway.timeout_s),
        _derived("load.client.timeout", _seconds(2 * patience_s), "beyond the gateway's"),
        _derived("load.client.patience", _seconds(2 * patience_s), "beyond the gateway's"),
        _work(subject, 0.4),
        rate,
        _room(subject),
    )
    remedy = {"service.pool.timeout": _seconds(patience_s / 2)}
    # The first 504 comes T·ρ/(ρ−1) after onset; as much again shows what lasts.
    surge_s = 2 * patience_s * ratio / (ratio - 1) + 8
    return Proof("PD103", "pool-wait-beyond-gateway", audited, remedy, surge_s)


def _hidden_queue(subject: _Subject) -> Proof:
    threads = _needed(subject.pool.threads, "the threads before the pool")
    capacity = _needed(subject.pool.capacity, "the pool's capacity")
    work_s = subject.workload.hold_s.known or 0.3
    instances = _one_at_least(subject)
    audited = (
        *_fleet(subject),
        *(each for each in _pool(subject.pool) if "implementation" not in each.path),
        _setting("service.pool.threads", f"{threads:g}", subject.pool.threads),
        *_gateway(subject),
        _work(subject, 0.3),
        _derived(
            "load.phases.surge.rate",
            f"{1.5 * instances * min(threads, capacity) / (work_s + 0.01):g}/s",
            "one and a half times what the threads carry",
        ),
        _room(subject),
    )
    return Proof("PD105", "hidden-queue", audited, {"service.pool.threads": f"{4 * capacity:g}"})


def _pool_lock(subject: _Subject) -> Proof:
    audited = (
        *_fleet(subject),
        *_pool(subject.pool),
        *_gateway(subject),
        _work(subject, 0.11),
        _overload(subject, of=0.75, work_s=0.11)[0],
        _room(subject),
    )
    return Proof("PD106", "pool-lock", audited, {"service.defects": "[]"})


def _teardown(subject: _Subject) -> Proof:
    audited = (*_pool(subject.pool), *_gateway(subject))
    return Proof("PD107", "session-over-teardown", audited, {"service.defects": "[]"})


def _behind_pooler(subject: _Subject) -> Proof:
    """More clients of a session-mode PgBouncer than it has server connections."""
    pooler = subject.chain.pooler_of(subject.pool)
    if pooler is None:
        raise UsageError("PD120: no PgBouncer is known")
    size = _needed(pooler.default_pool_size, "default_pool_size")
    instances = _needed(subject.workload.instances, "the processes")
    capacity = _needed(subject.pool.capacity, "the pool's capacity")
    work_s = subject.workload.hold_s.known or 0.4
    rate = _peak_or(subject, 0.9 * instances * capacity / work_s)
    audited = (
        *_fleet(subject),
        *_pool(subject.pool),
        *_gateway(subject),
        _setting("pgbouncer.default_pool_size", f"{size:g}", pooler.default_pool_size),
        _setting("pgbouncer.pool_mode", pooler.pool_mode.known or "session", pooler.pool_mode),
        _work(subject, 0.4),
        rate,
        _room(subject),
    )
    remedy = {"pgbouncer.default_pool_size": f"{instances * capacity:g}"}
    return Proof("PD120", "pgbouncer-saturated", audited, remedy)


_PROOFS: Mapping[str, Callable[[_Subject], Proof]] = {
    "PD101": _budget,
    "PD103": _beyond_gateway,
    "PD105": _hidden_queue,
    "PD106": _pool_lock,
    "PD107": _teardown,
    "PD120": _behind_pooler,
    "PD142": _undersized,
}


def _needed(value: Value[Any], what: str) -> float:
    if value.known is None:
        raise UsageError(f"this cannot be played without {what}: {value.why}")
    known = float(value.known)
    if math.isinf(known):
        raise UsageError(f"this cannot be played: {what} has no limit")
    return known


def _fleet(subject: _Subject) -> tuple[Setting, ...]:
    """So many replicas as there are processes: each has its pool."""
    value = subject.workload.instances
    return () if value.known is None else (_setting("service.replicas", str(value.known), value),)


def _one_at_least(subject: _Subject) -> int:
    return subject.workload.instances.known or 1


def _pool(pool: Pool) -> tuple[Setting, ...]:
    """Size, overflow and timeout as they are audited; the implementation where it is one of ours.

    Another product's pool is played by SQLAlchemy's, whose queue is the same: first come, first
    served, with one timeout.
    """
    found = []
    if pool.implementation == "psycopg-pool":
        implementation = Value.at("psycopg-pool", pool.place)
        found.append(_setting("service.pool.implementation", "psycopg-pool", implementation))
    if pool.capacity.known is not None and not math.isinf(pool.capacity.known):
        size, overflow = pool.size.known or 0.0, pool.max_overflow.known or 0.0
        found.append(_setting("service.pool.size", f"{size:g}", pool.size))
        found.append(_setting("service.pool.max_overflow", f"{overflow:g}", pool.max_overflow))
    if pool.timeout_s.known is not None:
        found.append(
            _setting("service.pool.timeout", _seconds(pool.timeout_s.known), pool.timeout_s)
        )
    return tuple(found)


def _gateway(subject: _Subject) -> tuple[Setting, ...]:
    gateway = subject.gateway
    if gateway is None:
        return ()
    return (
        _setting("gateway.timeout", _seconds(gateway.timeout_s.known or 0.0), gateway.timeout_s),
    )


def _work(subject: _Subject, default_s: float) -> Setting:
    hold = subject.workload.hold_s
    return _setting("service.work", _seconds(hold.known or default_s), hold)


def _overload(subject: _Subject, *, of: float, work_s: float) -> tuple[Setting, float]:
    """The declared peak, or ``of`` times what the pools carry; with the ratio that it is."""
    carried = subject.carried_per_s
    peak = subject.chain.peak_per_s
    if carried and peak.known is not None and peak.known / carried > 1:
        return _setting("load.phases.surge.rate", f"{peak.known:g}/s", peak), peak.known / carried
    capacity = _needed(subject.pool.capacity, "the pool's capacity")
    hold_s = subject.workload.hold_s.known or work_s
    rate = of * _one_at_least(subject) * capacity / hold_s
    return _derived(
        "load.phases.surge.rate", f"{rate:g}/s", f"{of:g} times what the pools carry"
    ), of


def _peak_or(subject: _Subject, rate_per_s: float) -> Setting:
    """The declared peak; without one, a rate that uses the pools well and does not exceed them."""
    path, peak = "load.phases.surge.rate", subject.chain.peak_per_s
    if peak.known is not None:
        return _setting(path, f"{peak.known:g}/s", peak)
    return _derived(path, f"{rate_per_s:g}/s", "no peak is declared: well within the pools")


def _room(subject: _Subject) -> Setting:
    """A server that has room for all, where the matter is another one."""
    count = _one_at_least(subject) * (subject.pool.capacity.known or 0.0)
    most = 5000 if math.isinf(count) else _connections(count)
    return _derived("database.max_connections", str(most), "room for every connection")


def _connections(count: float) -> int:
    return max(60, math.ceil(count) + SUPERUSER_RESERVED + 12)


def _setting(path: str, value: str, of: Value[Any]) -> Setting:
    known = of.known is not None
    why = (
        (f"default of {of.why}" if of.origin == "default" else "")
        if known
        else "as the incident has it"
    )
    return Setting(path, value, of.place if known else None, why)


def _derived(path: str, value: str, why: str) -> Setting:
    return Setting(path, value, None, why)


def _seconds(value: float) -> str:
    return f"{value * 1000:g}ms"
