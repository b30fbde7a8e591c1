"""What a proof is made of: the audited values as an incident's settings, each with its place.

What no file says stays as the incident has it, and is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.audit.chain import Chain
from harness.audit.finding import Finding
from harness.audit.parts import Gateway, Pool, Pooler, Workload
from harness.audit.rules.inputs import used_at_most
from harness.audit.values import Place, Value
from harness.errors import UsageError

SUPERUSER_RESERVED = 3
"""What the played server keeps for superusers; PostgreSQL's default."""


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
    Where the remedy ``cures``, nearly nobody is affected with it: who still is, has another cause.
    What is found is in each process ``apart``, or in what they share: a server, a PgBouncer.
    """

    rule: str
    incident: str
    audited: tuple[Setting, ...]
    remedy: Mapping[str, str]
    surge_s: float | None = None
    cures: bool = False
    apart: bool = False

    def overrides(self) -> dict[str, str]:
        """The audited values as ``--set`` takes them."""
        return {setting.path: setting.value for setting in self.audited}


@dataclass(frozen=True, slots=True)
class Subject:
    """The pool that a finding is about, with what stands around it."""

    finding: Finding
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
    def gateway_s(self) -> float | None:
        """For how long the gateway waits; None where no file says."""
        return None if self.gateway is None else self.gateway.timeout_s.known

    @property
    def pooler(self) -> Pooler | None:
        """The PgBouncer that the pool connects through."""
        return self.chain.pooler_of(self.pool)

    @property
    def carried_per_s(self) -> float | None:
        """Requests a second of all processes together; None where something is unknown."""
        count, used = self.workload.instances.known, used_at_most(self.workload, self.pool)
        hold_s = self.workload.hold_s.known
        if count is None or used is None or not hold_s:
            return None
        return count * used / hold_s


def needed(value: Value[Any], what: str) -> float:
    if value.known is None:
        raise UsageError(f"this cannot be played without {what}: {value.why}")
    known = float(value.known)
    if math.isinf(known):
        raise UsageError(f"this cannot be played: {what} has no limit")
    return known


def processes(subject: Subject) -> int:
    """All of them; raises `UsageError` where their number is not known, or none is to run."""
    count = int(needed(subject.workload.instances, "the processes"))
    if count < 1:
        raise UsageError("this cannot be played: no process is to run")
    return count


def fleet(subject: Subject) -> tuple[Setting, ...]:
    """So many replicas as there are processes: each has its pool."""
    value = subject.workload.instances
    return () if value.known is None else (setting("service.replicas", str(value.known), value),)


def one_at_least(subject: Subject) -> int:
    return subject.workload.instances.known or 1


def pool_settings(pool: Pool) -> tuple[Setting, ...]:
    """Size, overflow and timeout as they are audited; the implementation where it is one of ours.

    Another product's pool is played by SQLAlchemy's, whose queue is the same: first come, first
    served, with one timeout.
    """
    found = []
    if pool.implementation == "psycopg-pool":
        implementation = Value.at("psycopg-pool", pool.place)
        found.append(setting("service.pool.implementation", "psycopg-pool", implementation))
    if pool.capacity.known is not None and not math.isinf(pool.capacity.known):
        size, overflow = pool.size.known or 0.0, pool.max_overflow.known or 0.0
        found.append(setting("service.pool.size", f"{size:g}", pool.size))
        found.append(setting("service.pool.max_overflow", f"{overflow:g}", pool.max_overflow))
    least = pool.min_size
    if pool.implementation == "psycopg-pool" and least.known is not None:
        found.append(setting("service.pool.min_size", f"{least.known:g}", least))
    if pool.timeout_s.known is not None:
        found.append(setting("service.pool.timeout", seconds(pool.timeout_s.known), pool.timeout_s))
    return tuple(found)


def gateway_settings(subject: Subject) -> tuple[Setting, ...]:
    gateway = subject.gateway
    if gateway is None:
        return ()
    return (setting("gateway.timeout", seconds(gateway.timeout_s.known or 0.0), gateway.timeout_s),)


def work(subject: Subject, default_s: float) -> Setting:
    hold = subject.workload.hold_s
    return setting("service.work", seconds(hold.known or default_s), hold)


def overload(
    subject: Subject, *, of: float, work_s: float, carried: float | None = None
) -> tuple[Setting, float]:
    """The declared peak, or ``of`` times what the pools carry; with the ratio that it is.

    ``carried`` is that where it is known; else it is what the pool's capacity and ``work_s`` give.
    """
    carried = carried or subject.carried_per_s
    peak = subject.chain.peak_per_s
    if carried and peak.known is not None and peak.known / carried > 1:
        return setting("load.phases.surge.rate", f"{peak.known:g}/s", peak), peak.known / carried
    if carried is None:
        capacity = needed(subject.pool.capacity, "the pool's capacity")
        hold_s = subject.workload.hold_s.known or work_s
        carried = one_at_least(subject) * capacity / hold_s
    rate = of * carried
    return derived(
        "load.phases.surge.rate", f"{rate:g}/s", f"{of:g} times what the pools carry"
    ), of


def peak_or(subject: Subject, rate_per_s: float) -> Setting:
    """The declared peak; without one, a rate that uses the pools well and does not exceed them."""
    path, peak = "load.phases.surge.rate", subject.chain.peak_per_s
    if peak.known is not None:
        return setting(path, f"{peak.known:g}/s", peak)
    return derived(path, f"{rate_per_s:g}/s", "no peak is declared: well within the pools")


def room(subject: Subject) -> Setting:
    """A server that has room for all, where the matter is another one."""
    count = one_at_least(subject) * (subject.pool.capacity.known or 0.0)
    most = 5000 if math.isinf(count) else connections(count)
    return derived("database.max_connections", str(most), "room for every connection")


def connections(count: float) -> int:
    return max(60, math.ceil(count) + SUPERUSER_RESERVED + 12)


def setting(path: str, value: str, of: Value[Any]) -> Setting:
    known = of.known is not None
    why = (
        (f"default of {of.why}" if of.origin == "default" else "")
        if known
        else "as the incident has it"
    )
    return Setting(path, value, of.place if known else None, why)


def derived(path: str, value: str, why: str) -> Setting:
    return Setting(path, value, None, why)


def seconds(value: float) -> str:
    return f"{value * 1000:.12g}ms"
