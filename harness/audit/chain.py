"""The chain that a request goes along: client, gateway, workload, pool, PgBouncer, PostgreSQL.

Times are in seconds and rates a second; `math.inf` stands for *unlimited*. What no file said is an
unknown `Value` with the reason, or a product's default where the product is known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from harness.audit.paths import common
from harness.audit.values import Place, Value

Implementation = Literal[
    "sqlalchemy", "psycopg-pool", "asyncpg", "django", "hikari", "none", "unknown"
]
"""Whose pool it is. `none`: a connection for each request. `unknown`: some pool, or none."""

Practice = Literal[
    "nested-checkout",
    "session-over-teardown",
    "fork-after-engine",
    "pool-over-pool",
    "opened-in-constructor",
]
"""What code can be seen to do with its connections, by the names of the catalogue."""


LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names that every machine has for itself, and no file for a workload."""


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
    attempts: Value[int] = field(default_factory=_not_said)
    """How often it tries a request at the most, the first time included."""

    retry_budget: Value[float] = field(default_factory=_not_said)
    """The ratio of requests that may be tried again; inf where nothing limits it."""

    upstreams: tuple[str, ...] = ()
    """Hosts that it sends requests to; () where no file says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Something on the way to the database that only carries bytes, and cuts idle connections."""

    name: str
    place: Place
    idle_timeout_s: Value[float] = field(default_factory=_not_said)
    longest_s: Value[float] = field(default_factory=_not_said)
    """For how long a connection may live, busy or not."""

    upstreams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a pool connects to."""

    host: Value[str] = field(default_factory=_not_said)
    port: Value[int] = field(default_factory=_not_said)
    database: Value[str] = field(default_factory=_not_said)
    user: Value[str] = field(default_factory=_not_said)


@dataclass(frozen=True, slots=True)
class Use:
    """Something that the code does with its connections, and where."""

    practice: Practice
    place: Place
    connections: int = 1
    """That one request holds at once, where it is `nested-checkout`."""

    pool: str = ""
    """The name of the pool that they are of; "" where the code does not show it."""


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

    target: Target = Target()
    reaches: str = ""
    """The name of the pooler or server at its other end; "" where that is not known."""

    is_async: Value[bool] = field(default_factory=_not_said)
    prepared_statements: Value[bool] = field(default_factory=_not_said)
    """Whether the driver prepares statements at the server by itself."""

    statement_timeout_s: Value[float] = field(default_factory=_not_said)
    idle_in_transaction_timeout_s: Value[float] = field(default_factory=_not_said)
    lock_timeout_s: Value[float] = field(default_factory=_not_said)
    role_limit: Value[float] = field(default_factory=_not_said)
    """Connections that its role may have at once, all pools together (CONNECTION LIMIT)."""

    made_at_import: Value[bool] = field(default_factory=_not_said)
    """Whether it exists before a server forks its workers."""

    disposed_after_fork: Value[bool] = field(default_factory=_not_said)

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
    uses: tuple[Use, ...] = ()
    timeout_s: Value[float] = field(default_factory=_not_said)
    """After which a worker gives up a request, or is killed over it."""

    surge: Value[float] = field(default_factory=_not_said)
    """Replicas that exist besides while a rolling deploy lasts."""

    preload: Value[bool] = field(default_factory=_not_said)
    """Whether the server imports the application before it forks."""

    serves: Value[bool] = field(default_factory=_not_said)
    """Whether requests of a gateway come to it: a job queue's worker has none."""

    hosts: tuple[str, ...] = ()
    """Names under which a gateway reaches it."""

    @property
    def instances(self) -> Value[int]:
        """Processes in all: each of them has its own pools."""
        if not self.replicas.is_known or not self.processes.is_known:
            return self.replicas if not self.replicas.is_known else self.processes
        count = (self.replicas.known or 0) * (self.processes.known or 0)
        return Value(count, "file", self.replicas.place or self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerDatabase:
    """A line of PgBouncer's ``[databases]``; the name ``*`` stands for all others."""

    name: str
    place: Place
    host: Value[str] = field(default_factory=_not_said)
    pool_size: Value[float] = field(default_factory=_not_said)
    user: Value[str] = field(default_factory=_not_said)
    """The one role that all its connections have; else each client's own."""

    max_connections: Value[float] = field(default_factory=_not_said)
    """Its own ``max_db_connections``."""

    reserve_pool_size: Value[float] = field(default_factory=_not_said)


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
    min_pool_size: Value[float] = field(default_factory=_not_said)
    reserve_pool_timeout_s: Value[float] = field(default_factory=_not_said)
    max_user_connections: Value[float] = field(default_factory=_not_said)
    query_timeout_s: Value[float] = field(default_factory=_not_said)
    client_idle_timeout_s: Value[float] = field(default_factory=_not_said)
    idle_transaction_timeout_s: Value[float] = field(default_factory=_not_said)
    server_idle_timeout_s: Value[float] = field(default_factory=_not_said)
    server_lifetime_s: Value[float] = field(default_factory=_not_said)
    server_login_retry_s: Value[float] = field(default_factory=_not_said)
    max_prepared_statements: Value[float] = field(default_factory=_not_said)
    open_files: Value[float] = field(default_factory=_not_said)
    """File descriptors that its process may have (LimitNOFILE, ulimits)."""

    replicas: Value[int] = field(default_factory=_not_said)
    users: Value[int] = field(default_factory=_not_said)
    """Users that connect through it to each database, where a file lists them."""

    users_file: str = ""
    """The file that lists them (``auth_file``)."""

    databases: tuple[PoolerDatabase, ...] = ()
    hosts: tuple[str, ...] = ()
    reaches: str = ""
    """The name of the server behind it; "" where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """Who watches the database over a connection of its own."""

    name: str
    place: Place
    user: Value[str] = field(default_factory=_not_said)
    """The role that it logs in as."""

    reserved_slot: Value[bool] = field(default_factory=_not_said)
    """Whether its role may use the connections that are kept back (pg_use_reserved_connections)."""


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
    lock_timeout_s: Value[float] = field(default_factory=_not_said)
    idle_session_timeout_s: Value[float] = field(default_factory=_not_said)
    cores: Value[float] = field(default_factory=_not_said)
    in_use: Value[float] = field(default_factory=_not_said)
    """Connections of clients that exist now, where it is a live server."""

    used_by: str = ""
    """The roles whose they are, the greatest first."""

    longest_idle_in_transaction_s: Value[float] = field(default_factory=_not_said)
    """For how long a session has been idle in its transaction now, the longest."""

    hosts: tuple[str, ...] = ()

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
    slo_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alerting rule, and what its expression can be seen to ask."""

    name: str
    place: Place
    expression: str
    for_s: Value[float] = field(default_factory=_not_said)
    interval_s: Value[float] = field(default_factory=_not_said)
    """How often its group is evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording rule: ``name`` is the metric that it makes of an expression."""

    name: str
    place: Place
    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How an alert comes to a person: scraped, evaluated, held back for its group."""

    place: Place
    scrape_s: Value[float] = field(default_factory=_not_said)
    evaluation_s: Value[float] = field(default_factory=_not_said)
    group_wait_s: Value[float] = field(default_factory=_not_said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A histogram of times that the code declares, with its last finite bucket's bound."""

    name: str
    place: Place
    last_bucket_s: Value[float] = field(default_factory=_not_said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A dependency as it is asked for (a specifier) or locked (a version)."""

    name: str
    place: Place
    specifier: Value[str] = field(default_factory=_not_said)
    version: Value[str] = field(default_factory=_not_said)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Everything that was read, joined."""

    clients: tuple[Client, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    workloads: tuple[Workload, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    poolers: tuple[Pooler, ...] = ()
    servers: tuple[Server, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    alerts: tuple[Alert, ...] = ()
    recordings: tuple[Recording, ...] = ()
    watches: tuple[Watch, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    packages: tuple[Package, ...] = ()
    peak_per_s: Value[float] = field(default_factory=_not_said)
    slo_s: Value[float] = field(default_factory=_not_said)
    """Within which a request must be answered."""

    def pools(self) -> tuple[tuple[Workload, Pool], ...]:
        """Every pool with the workload whose it is."""
        return tuple((workload, pool) for workload in self.workloads for pool in workload.pools)

    def pooler_of(self, pool: Pool) -> Pooler | None:
        """The pooler that ``pool`` connects through; None where it connects to the server itself.

        A pool whose other end no file names goes through the pooler, where there is one: those
        who run one mean it for their pools.
        """
        if pool.reaches:
            return next((each for each in self.poolers if each.name == pool.reaches), None)
        return self.poolers[0] if len(self.poolers) == 1 else None

    def server_of(self, end: Pool | Pooler) -> Server | None:
        """The server behind a pool or a pooler; None where it is not known which it is."""
        if isinstance(end, Pool) and (pooler := self.pooler_of(end)) is not None:
            return self.server_of(pooler)
        if end.reaches:
            return next((each for each in self.servers if each.name == end.reaches), None)
        return self.servers[0] if len(self.servers) == 1 else None

    def behind(self, end: Pooler | Server) -> tuple[tuple[Workload, Pool], ...]:
        """Pools that connect to this pooler, or to this server without one between."""
        if isinstance(end, Pooler):
            return tuple(each for each in self.pools() if self.pooler_of(each[1]) == end)
        return tuple(
            each
            for each in self.pools()
            if self.pooler_of(each[1]) is None and self.server_of(each[1]) == end
        )

    def served_by(self, gateway: Gateway) -> tuple[tuple[Workload, Pool], ...]:
        """Pools of the workloads that this gateway sends requests to.

        Where its upstreams name workloads, these. Where they do not, and those of other gateways
        do, it is about something else. Else no name is to be relied upon: all that may serve.
        """
        return self._served[self.gateways.index(gateway)]

    def gateways_of(self, pool: Pool) -> tuple[Gateway, ...]:
        """The gateways whose requests use ``pool``, which is one of this chain's."""
        return tuple(self.gateways[number] for number in self._serving.get(id(pool), ()))

    @cached_property
    def _served(self) -> tuple[tuple[tuple[Workload, Pool], ...], ...]:
        """For each gateway, what it serves: asked for by many rules, for each pool again."""
        by_host: dict[str, list[Workload]] = {}
        for workload in self.workloads:
            for host in workload.hosts:
                by_host.setdefault(host, []).append(workload)
        named = [self._named(gateway, by_host) for gateway in self.gateways]
        all_serving = [each for each in self.workloads if each.serves.known is not False]
        served = []
        for gateway, workloads in zip(self.gateways, named, strict=True):
            elsewhere = not workloads and set(gateway.upstreams) - LOOPBACK and any(named)
            chosen = [] if elsewhere else workloads or all_serving
            served.append(tuple((each, pool) for each in chosen for pool in each.pools))
        return tuple(served)

    @cached_property
    def _serving(self) -> Mapping[int, list[int]]:
        """Numbers of the gateways of each pool, by the pool's identity."""
        found: dict[int, list[int]] = {}
        for number, served in enumerate(self._served):
            for _, pool in served:
                found.setdefault(id(pool), []).append(number)
        return found

    @staticmethod
    def _named(gateway: Gateway, by_host: Mapping[str, list[Workload]]) -> list[Workload]:
        """The workloads that its upstreams name, each the nearest of that name."""
        found: dict[int, Workload] = {}
        for host in gateway.upstreams:
            near = [
                (common(gateway.place.file, each.place.file), each)
                for each in by_host.get(host, ())
            ]
            most = max((depth for depth, _ in near), default=0)
            found.update({id(each): each for depth, each in near if depth == most})
        return list(found.values())

    def limits_of(self, pool: Pool) -> tuple[tuple[str, Value[float]], ...]:
        """What ends an idle connection of ``pool`` from outside, with each one's seconds."""
        found = [(each.name, each.idle_timeout_s) for each in self.proxies]
        if (pooler := self.pooler_of(pool)) is not None:
            return (*found, (pooler.name, pooler.client_idle_timeout_s))
        if (server := self.server_of(pool)) is not None:
            found.append((server.name, server.idle_session_timeout_s))
        return tuple(found)
