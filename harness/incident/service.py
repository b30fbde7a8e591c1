"""What is deployed: the service, its pools, the gateway, PgBouncer, the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, model_validator

from harness.incident.base import Model
from harness.incident.units import Seconds

Defect = Literal[
    "hash-while-holding",
    "leak-on-failed-login",
    "nested-checkout",
    "session-over-teardown",
    "idle-in-transaction",
]
"""The mistakes that the auth service can be deployed with, by the service's own names."""

Implementation = Literal["sqlalchemy-async", "sqlalchemy-sync", "psycopg-pool", "none"]

Changed = TypeVar("Changed", bound=Model)


class PoolConfig(Model):
    """The database pool of one replica; SQLAlchemy's meanings and defaults."""

    implementation: Implementation = "sqlalchemy-async"
    name: str = "primary"
    size: int = Field(5, ge=0, le=1000)
    max_overflow: int = Field(10, ge=-1, le=1000)
    timeout_s: Seconds = Field(30.0, gt=0, alias="timeout")
    recycle_s: Seconds | None = Field(None, gt=0, alias="recycle")
    pre_ping: bool = False
    use_lifo: bool = False
    min_size: int | None = Field(None, ge=0)
    max_waiting: int = Field(0, ge=0)
    threads: int = Field(40, ge=1, le=1000)

    @model_validator(mode="after")
    def _the_implementation_knows_it(self) -> PoolConfig:
        """What the service would refuse is refused here, before anything is started."""
        problems = []
        psycopg = self.implementation == "psycopg-pool"
        for name, only in (
            ("min_size", "psycopg-pool"),
            ("max_waiting", "psycopg-pool"),
            ("threads", "sqlalchemy-sync"),
        ):
            default = type(self).model_fields[name].default
            if getattr(self, name) != default and self.implementation != only:
                problems.append(f"{name} is known to {only} only, not to {self.implementation}")
        if psycopg and self.use_lifo:
            problems.append("use_lifo is not known to psycopg-pool")
        if psycopg and (self.max_overflow < 0 or self.size + self.max_overflow < 1):
            problems.append("a psycopg-pool holds size + max_overflow >= 1 connections")
        elif self.min_size is not None and self.min_size > self.size + self.max_overflow:
            problems.append("min_size is more than size + max_overflow")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def limit(self) -> int | None:
        """Connections the pool may hold at once; None when nothing limits it."""
        if self.implementation == "none" or self.max_overflow < 0 or self.size == 0:
            return None
        return self.size + self.max_overflow


class PoolChange(Model):
    """Some of a pool's settings: what is named replaces what was there."""

    implementation: Implementation | None = None
    size: int | None = Field(None, ge=0, le=1000)
    max_overflow: int | None = Field(None, ge=-1, le=1000)
    timeout_s: Seconds | None = Field(None, alias="timeout")
    recycle_s: Seconds | None = Field(None, gt=0, alias="recycle")
    pre_ping: bool | None = None
    use_lifo: bool | None = None
    min_size: int | None = Field(None, ge=0)
    max_waiting: int | None = Field(None, ge=0)
    threads: int | None = Field(None, ge=1, le=1000)

    def changes(self) -> dict[str, Any]:
        """What is named, by `PoolConfig`'s field names."""
        named = {name: getattr(self, name) for name in PoolChange.model_fields}
        return {name: value for name, value in named.items() if value is not None}

    def applied_to(self, pool: PoolConfig) -> PoolConfig:
        """``pool`` with what is named replaced; ValueError where the two do not fit."""
        return replaced(pool, self.changes())


class HashConfig(Model):
    """argon2id; the default is OWASP's minimum.

    ``latency`` is what verifying takes at the least, a thread of ``workers`` held meanwhile. It
    stands for what two cores cannot pay: the costs of a production hash on a machine with many
    cores, or a password server elsewhere.
    """

    time_cost: int = Field(2, ge=1, le=1000)
    parallelism: int = Field(1, ge=1, le=64)
    memory_kib: int = Field(19456, ge=8, le=4 * 1024 * 1024)
    workers: int = Field(2, ge=1, le=256)
    latency_s: Seconds = Field(0.0, alias="latency")

    @model_validator(mode="after")
    def _every_lane_has_its_memory(self) -> HashConfig:
        if self.memory_kib < 8 * self.parallelism:
            raise ValueError(f"argon2 needs 8 KiB a lane: {8 * self.parallelism} at least")
        return self


class ReplicaException(Model):
    """What one replica has of its own."""

    weight: float | None = Field(None, ge=0, le=1000)
    pool: PoolChange | None = None


class ServiceConfig(Model):
    """The auth service as it is deployed: every replica alike, but for the ``exceptions``.

    ``backups`` are replicas that serve when the gateway is told to redirect to them. ``release``
    is the version that the replicas report; a deploy counts it up.
    """

    replicas: int = Field(2, ge=1, le=16)
    backups: int = Field(0, ge=0, le=4)
    exceptions: dict[str, ReplicaException] = Field(default_factory=dict)
    pool: PoolConfig = PoolConfig()
    hash: HashConfig = HashConfig()
    work_s: Seconds = Field(0.0, alias="work")
    teardown_s: Seconds = Field(0.05, alias="teardown")
    session_ttl_s: Seconds = Field(3600.0, gt=0, alias="session_ttl")
    connect_timeout_s: Seconds = Field(5.0, gt=0, alias="connect_timeout")
    statement_timeout_s: Seconds = Field(0.0, alias="statement_timeout")
    retry_after_s: Seconds = Field(1.0, alias="retry_after")
    defects: tuple[Defect, ...] = ()
    release: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _exceptions_are_of_replicas(self) -> ServiceConfig:
        known = (*self.replica_names, *self.backup_names)
        unknown = [name for name in self.exceptions if name not in known]
        if unknown:
            raise ValueError(f"no replica is called {', '.join(unknown)}: {', '.join(known)}")
        for name in self.exceptions:
            self.of_replica(name)
        return self

    @property
    def replica_names(self) -> tuple[str, ...]:
        """Those that serve from the start."""
        return tuple(f"replica-{number}" for number in range(1, self.replicas + 1))

    @property
    def backup_names(self) -> tuple[str, ...]:
        return tuple(f"backup-{number}" for number in range(1, self.backups + 1))

    def of_replica(self, name: str) -> ServiceConfig:
        """The configuration that the replica ``name`` runs with."""
        own = self.exceptions.get(name)
        if own is None or own.pool is None:
            return self
        return self.model_copy(update={"pool": own.pool.applied_to(self.pool)})

    def weight(self, name: str) -> float:
        """The replica's weight at the gateway."""
        own = self.exceptions.get(name)
        return 1.0 if own is None or own.weight is None else own.weight


class ServiceChange(Model):
    """What a deploy changes of the service's configuration."""

    pool: PoolChange | None = None
    work_s: Seconds | None = Field(None, alias="work")
    statement_timeout_s: Seconds | None = Field(None, alias="statement_timeout")
    defects: tuple[Defect, ...] | None = None

    def applied_to(self, service: ServiceConfig) -> ServiceConfig:
        """``service`` with what is named replaced; ValueError where the two do not fit."""
        plain = {
            name: value
            for name in ("work_s", "statement_timeout_s", "defects")
            if (value := getattr(self, name)) is not None
        }
        if self.pool is not None:
            plain["pool"] = self.pool.applied_to(service.pool)
        return service.model_copy(update=plain)


class GatewayConfig(Model):
    """The edge in front of the replicas."""

    timeout_s: Seconds = Field(30.0, gt=0, alias="timeout")
    connect_timeout_s: Seconds = Field(1.0, gt=0, alias="connect_timeout")


def _whole_seconds(value: float) -> float:
    if value != int(value):
        raise ValueError("PostgreSQL's pre_auth_delay takes whole seconds")
    return value


class DatabaseConfig(Model):
    """The PostgreSQL server. ``users`` are seeded before the load begins.

    ``connect_delay`` makes every new connection slow, as TLS, IAM tokens or a busy server do
    (PostgreSQL's ``pre_auth_delay``). ``connect_cost`` is the processor time that one costs the
    service, which hashes its password meanwhile (in libpq, in the thread that connects): the
    iterations that take so long are found on the machine; 0: PostgreSQL's 4,096. ``exporter`` is a
    monitoring agent that connects for every scrape: with a ``reserved`` slot of its own, or among
    the ``ordinary`` connections; what it sees is recorded beside what the recorder sees.
    """

    users: int = Field(20_000, ge=1, le=2_000_000)
    max_connections: int = Field(100, ge=10, le=5000)
    reserved_connections: int = Field(2, ge=0)
    connect_delay_s: Annotated[Seconds, AfterValidator(_whole_seconds)] = Field(
        0.0, alias="connect_delay", le=60
    )
    exporter: Literal["none", "reserved", "ordinary"] = "none"
    connect_cost_s: Seconds = Field(0.0, alias="connect_cost", le=5)


class PgbouncerConfig(Model):
    """PgBouncer between the service and the database; its own names and defaults."""

    pool_mode: Literal["session", "transaction"] = "session"
    default_pool_size: int = Field(20, ge=1, le=1000)
    reserve_pool_size: int = Field(0, ge=0, le=1000)
    reserve_pool_timeout_s: Seconds = Field(5.0, alias="reserve_pool_timeout")
    max_client_conn: int = Field(100, ge=1, le=10_000)
    query_wait_timeout_s: Seconds = Field(120.0, alias="query_wait_timeout")


def replaced(model: Changed, values: Mapping[str, Any]) -> Changed:
    """``model`` with some fields replaced and everything checked again."""
    own = {name: getattr(model, name) for name in type(model).model_fields}
    return type(model).model_validate({**own, **values})
