"""The chain that a request goes along: client, gateway, workload, pool, PgBouncer, PostgreSQL.

Times are in seconds and rates a second; `math.inf` stands for *unlimited*. What no file said is an
unknown `Value` with the reason, or a product's default where the product is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.audit.values import Place, Value

Implementation = Literal["sqlalchemy", "psycopg-pool", "none"]


def _not_said() -> Value[Any]:
    return Value.unknown("it is not said")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who logs in: how long it waits, and how often it tries."""

    place: Place
    timeout_s: Value[float] = field(default_factory=_not_said)
    attempts: Value[int] = field(default_factory=_not_said)
    retry_budget: Value[float] = field(default_factory=_not_said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The edge: for how long it waits for a workload's answer."""

    name: str
    place: Place
    timeout_s: Value[float] = field(default_factory=_not_said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One process's pool of connections."""

    name: str
    place: Place
    implementation: Implementation
    size: Value[float] = field(default_factory=_not_said)
    max_overflow: Value[float] = field(default_factory=_not_said)
    min_size: Value[float] = field(default_factory=_not_said)
    max_waiting: Value[float] = field(default_factory=_not_said)
    timeout_s: Value[float] = field(default_factory=_not_said)
    recycle_s: Value[float] = field(default_factory=_not_said)
    pre_ping: Value[bool] = field(default_factory=_not_said)
    use_lifo: Value[bool] = field(default_factory=_not_said)
    connect_timeout_s: Value[float] = field(default_factory=_not_said)
    threads: Value[float] = field(default_factory=_not_said)
    """Requests that one process works on at once, where a limiter stands before the pool."""

    @property
    def capacity(self) -> Value[float]:
        """Connections that it may hold at once."""
        if not self.size.is_known or not self.max_overflow.is_known:
            return self.size if not self.size.is_known else self.max_overflow
        size, overflow = self.size.known or 0.0, self.max_overflow.known or 0.0
        decides = self.max_overflow if math.isinf(overflow) else self.size
        return Value(size + overflow, "file", decides.place or self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A deployment: so many replicas of so many processes, each with these pools."""

    name: str
    place: Place
    replicas: Value[int] = field(default_factory=_not_said)
    processes: Value[int] = field(default_factory=_not_said)
    hold_s: Value[float] = field(default_factory=_not_said)
    """For how long a request holds a connection."""

    share: Value[float] = field(default_factory=_not_said)
    """The ratio of all requests that comes to it, where requests do not choose a free workload."""

    pools: tuple[Pool, ...] = ()

    @property
    def instances(self) -> Value[int]:
        """Processes in all: each of them has its own pools."""
        if not self.replicas.is_known or not self.processes.is_known:
            return self.replicas if not self.replicas.is_known else self.processes
        count = (self.replicas.known or 0) * (self.processes.known or 0)
        return Value(count, "file", self.replicas.place or self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooler:
    """PgBouncer."""

    name: str
    place: Place
    pool_mode: Value[str] = field(default_factory=_not_said)
    default_pool_size: Value[float] = field(default_factory=_not_said)
    reserve_pool_size: Value[float] = field(default_factory=_not_said)
    max_client_conn: Value[float] = field(default_factory=_not_said)
    max_db_connections: Value[float] = field(default_factory=_not_said)
    query_wait_timeout_s: Value[float] = field(default_factory=_not_said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """PostgreSQL."""

    name: str
    place: Place
    max_connections: Value[float] = field(default_factory=_not_said)
    superuser_reserved: Value[float] = field(default_factory=_not_said)
    reserved: Value[float] = field(default_factory=_not_said)
    idle_in_transaction_timeout_s: Value[float] = field(default_factory=_not_said)
    statement_timeout_s: Value[float] = field(default_factory=_not_said)

    @property
    def grant(self) -> Value[float]:
        """Connections that ordinary users may have: the limit less what is kept for others."""
        parts = (self.max_connections, self.superuser_reserved, self.reserved)
        for part in parts:
            if not part.is_known:
                return part
        most, superuser, reserved = (part.known or 0.0 for part in parts)
        return Value(most - superuser - reserved, "file", self.max_connections.place or self.place)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the user says of the load: logins a second at the peak, and for how long each holds."""

    peak_per_s: float | None = None
    hold_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Everything that was read, joined."""

    clients: tuple[Client, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    workloads: tuple[Workload, ...] = ()
    poolers: tuple[Pooler, ...] = ()
    servers: tuple[Server, ...] = ()
    peak_per_s: Value[float] = field(default_factory=_not_said)

    def pools(self) -> tuple[tuple[Workload, Pool], ...]:
        """Every pool with the workload whose it is."""
        return tuple((workload, pool) for workload in self.workloads for pool in workload.pools)
