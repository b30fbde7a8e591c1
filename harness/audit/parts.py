"""What the chain is made of: who waits, who works, who keeps connections, who watches.

Times are in seconds and rates a second; `math.inf` stands for *unlimited*. What no file said is an
unknown `Value` with the reason, or a product's default where the product is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.audit.branches import Branch
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


def not_said() -> Value[Any]:
    """What a field is that no file says anything of."""
    return Value.unknown("it is not said")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who logs in: how long it waits, and how often it tries."""

    place: Place
    timeout_s: Value[float] = field(default_factory=not_said)
    attempts: Value[int] = field(default_factory=not_said)
    retry_budget: Value[float] = field(default_factory=not_said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The edge: for how long it waits for a workload's answer."""

    name: str
    place: Place
    timeout_s: Value[float] = field(default_factory=not_said)
    attempts: Value[int] = field(default_factory=not_said)
    """How often it tries a request at the most, the first time included."""

    retry_budget: Value[float] = field(default_factory=not_said)
    """The ratio of requests that may be tried again; inf where nothing limits it."""

    upstreams: tuple[str, ...] = ()
    """Hosts that it sends requests to; () where no file says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Something on the way to the database that only carries bytes, and cuts idle connections."""

    name: str
    place: Place
    idle_timeout_s: Value[float] = field(default_factory=not_said)
    longest_s: Value[float] = field(default_factory=not_said)
    """For how long a connection may live, busy or not."""

    upstreams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a pool connects to."""

    host: Value[str] = field(default_factory=not_said)
    port: Value[int] = field(default_factory=not_said)
    database: Value[str] = field(default_factory=not_said)
    user: Value[str] = field(default_factory=not_said)


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
    size: Value[float] = field(default_factory=not_said)
    max_overflow: Value[float] = field(default_factory=not_said)
    min_size: Value[float] = field(default_factory=not_said)
    max_waiting: Value[float] = field(default_factory=not_said)
    timeout_s: Value[float] = field(default_factory=not_said)
    recycle_s: Value[float] = field(default_factory=not_said)
    pre_ping: Value[bool] = field(default_factory=not_said)
    use_lifo: Value[bool] = field(default_factory=not_said)
    connect_timeout_s: Value[float] = field(default_factory=not_said)
    threads: Value[float] = field(default_factory=not_said)
    """Requests that one process works on at once, where a limiter stands before the pool."""

    target: Target = Target()
    reaches: str = ""
    """The name of the pooler or server at its other end; "" where that is not known."""

    is_postgresql: Value[bool] = field(default_factory=not_said)
    """Said where a file gives it to another database, of which a variable may say otherwise."""

    is_async: Value[bool] = field(default_factory=not_said)
    prepared_statements: Value[bool] = field(default_factory=not_said)
    """Whether the driver prepares statements at the server by itself."""

    statement_timeout_s: Value[float] = field(default_factory=not_said)
    idle_in_transaction_timeout_s: Value[float] = field(default_factory=not_said)
    lock_timeout_s: Value[float] = field(default_factory=not_said)
    transaction_timeout_s: Value[float] = field(default_factory=not_said)
    idle_session_timeout_s: Value[float] = field(default_factory=not_said)
    """That its role or database is given, over the server's."""

    role_limit: Value[float] = field(default_factory=not_said)
    """Connections that its role may have at once, all pools together (CONNECTION LIMIT)."""

    made_at_import: Value[bool] = field(default_factory=not_said)
    """Whether it exists before a server forks its workers."""

    disposed_after_fork: Value[bool] = field(default_factory=not_said)
    branches: tuple[Branch, ...] = ()
    """Choices of the code that lead to it, the outermost first; () where it is always made."""

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
    replicas: Value[int] = field(default_factory=not_said)
    processes: Value[int] = field(default_factory=not_said)
    hold_s: Value[float] = field(default_factory=not_said)
    """For how long a request holds a connection."""

    share: Value[float] = field(default_factory=not_said)
    """The ratio of all requests that comes to it, where requests do not choose a free workload."""

    pools: tuple[Pool, ...] = ()
    uses: tuple[Use, ...] = ()
    timeout_s: Value[float] = field(default_factory=not_said)
    """After which a worker gives up a request, or is killed over it."""

    surge: Value[float] = field(default_factory=not_said)
    """Replicas that exist besides while a rolling deploy lasts."""

    preload: Value[bool] = field(default_factory=not_said)
    """Whether the server imports the application before it forks."""

    serves: Value[bool] = field(default_factory=not_said)
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
    host: Value[str] = field(default_factory=not_said)
    pool_size: Value[float] = field(default_factory=not_said)
    user: Value[str] = field(default_factory=not_said)
    """The one role that all its connections have; else each client's own."""

    max_connections: Value[float] = field(default_factory=not_said)
    """Its own ``max_db_connections``."""

    reserve_pool_size: Value[float] = field(default_factory=not_said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooler:
    """PgBouncer."""

    name: str
    place: Place
    pool_mode: Value[str] = field(default_factory=not_said)
    default_pool_size: Value[float] = field(default_factory=not_said)
    reserve_pool_size: Value[float] = field(default_factory=not_said)
    max_client_conn: Value[float] = field(default_factory=not_said)
    max_db_connections: Value[float] = field(default_factory=not_said)
    query_wait_timeout_s: Value[float] = field(default_factory=not_said)
    min_pool_size: Value[float] = field(default_factory=not_said)
    reserve_pool_timeout_s: Value[float] = field(default_factory=not_said)
    max_user_connections: Value[float] = field(default_factory=not_said)
    query_timeout_s: Value[float] = field(default_factory=not_said)
    client_idle_timeout_s: Value[float] = field(default_factory=not_said)
    idle_transaction_timeout_s: Value[float] = field(default_factory=not_said)
    transaction_timeout_s: Value[float] = field(default_factory=not_said)
    server_idle_timeout_s: Value[float] = field(default_factory=not_said)
    server_lifetime_s: Value[float] = field(default_factory=not_said)
    server_login_retry_s: Value[float] = field(default_factory=not_said)
    max_prepared_statements: Value[float] = field(default_factory=not_said)
    prepared_by_default: Value[float] = field(default_factory=not_said)
    """What that is where no file says it: it depends on the version that an image has."""

    open_files: Value[float] = field(default_factory=not_said)
    """File descriptors that its process may have (LimitNOFILE, ulimits)."""

    replicas: Value[int] = field(default_factory=not_said)
    idle_session_timeout_s: Value[float] = field(default_factory=not_said)
    """That the roles of its databases are given, over the server's."""

    users: Value[int] = field(default_factory=not_said)
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
    user: Value[str] = field(default_factory=not_said)
    """The role that it logs in as."""

    reserved_slot: Value[bool] = field(default_factory=not_said)
    """Whether its role may use the connections that are kept back (pg_use_reserved_connections)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """PostgreSQL."""

    name: str
    place: Place
    max_connections: Value[float] = field(default_factory=not_said)
    superuser_reserved: Value[float] = field(default_factory=not_said)
    reserved: Value[float] = field(default_factory=not_said)
    idle_in_transaction_timeout_s: Value[float] = field(default_factory=not_said)
    statement_timeout_s: Value[float] = field(default_factory=not_said)
    lock_timeout_s: Value[float] = field(default_factory=not_said)
    transaction_timeout_s: Value[float] = field(default_factory=not_said)
    idle_session_timeout_s: Value[float] = field(default_factory=not_said)
    cores: Value[float] = field(default_factory=not_said)
    in_use: Value[float] = field(default_factory=not_said)
    """Connections of clients that exist now, where it is a live server."""

    used_by: str = ""
    """The roles whose they are, the greatest first."""

    longest_idle_in_transaction_s: Value[float] = field(default_factory=not_said)
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
        granted = max(0.0, most - superuser - reserved)
        return Value(granted, "file", self.max_connections.place or self.place)

    @property
    def grants_at_most(self) -> float | None:
        """The same where not all of what is kept for others is known: no more than that."""
        if self.max_connections.known is None:
            return None
        kept = sum(each.known or 0.0 for each in (self.superuser_reserved, self.reserved))
        return max(0.0, self.max_connections.known - kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alerting rule, and what its expression can be seen to ask."""

    name: str
    place: Place
    expression: str
    for_s: Value[float] = field(default_factory=not_said)
    interval_s: Value[float] = field(default_factory=not_said)
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
    scrape_s: Value[float] = field(default_factory=not_said)
    evaluation_s: Value[float] = field(default_factory=not_said)
    group_wait_s: Value[float] = field(default_factory=not_said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A histogram of times that the code declares, with its last finite bucket's bound."""

    name: str
    place: Place
    last_bucket_s: Value[float] = field(default_factory=not_said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A dependency as it is asked for (a specifier) or locked (a version)."""

    name: str
    place: Place
    specifier: Value[str] = field(default_factory=not_said)
    version: Value[str] = field(default_factory=not_said)
