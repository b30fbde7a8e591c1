"""The incident: one frozen tree of typed values, complete before anything is started.

A field's name in Python ends in its unit (``timeout_s``); its name in a file does not
(``timeout: 5s``), because there the value carries the unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.incident.units import PerSecond, Seconds

Share = Annotated[float, Field(ge=0, le=1)]
"""A ratio between 0 and 1, never a percentage."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]

Defect = Literal[
    "hash-while-holding",
    "leak-on-failed-login",
    "nested-checkout",
    "session-over-teardown",
    "idle-in-transaction",
]
"""The mistakes that the auth service can be deployed with, by the service's own names."""

Implementation = Literal["sqlalchemy-async", "sqlalchemy-sync", "psycopg-pool", "none"]


class Model(BaseModel):
    """Frozen, closed to unknown fields, read by its file names or its Python names."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )


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


class HashConfig(Model):
    """argon2id; the default is OWASP's minimum."""

    time_cost: int = Field(2, ge=1, le=1000)
    parallelism: int = Field(1, ge=1, le=64)
    memory_kib: int = Field(19456, ge=8, le=4 * 1024 * 1024)
    workers: int = Field(2, ge=1, le=256)

    @model_validator(mode="after")
    def _every_lane_has_its_memory(self) -> HashConfig:
        if self.memory_kib < 8 * self.parallelism:
            raise ValueError(f"argon2 needs 8 KiB a lane: {8 * self.parallelism} at least")
        return self


class ServiceConfig(Model):
    """The auth service as it is deployed: every replica alike."""

    replicas: int = Field(2, ge=1, le=16)
    pool: PoolConfig = PoolConfig()
    hash: HashConfig = HashConfig()
    work_s: Seconds = Field(0.0, alias="work")
    session_ttl_s: Seconds = Field(3600.0, gt=0, alias="session_ttl")
    connect_timeout_s: Seconds = Field(5.0, gt=0, alias="connect_timeout")
    statement_timeout_s: Seconds = Field(0.0, alias="statement_timeout")
    retry_after_s: Seconds = Field(1.0, alias="retry_after")
    defects: tuple[Defect, ...] = ()

    @property
    def replica_names(self) -> tuple[str, ...]:
        return tuple(f"replica-{number}" for number in range(1, self.replicas + 1))


class GatewayConfig(Model):
    """The edge in front of the replicas."""

    timeout_s: Seconds = Field(30.0, gt=0, alias="timeout")
    connect_timeout_s: Seconds = Field(1.0, gt=0, alias="connect_timeout")


class DatabaseConfig(Model):
    """The PostgreSQL server. ``users`` are seeded before the load begins."""

    users: int = Field(20_000, ge=1, le=2_000_000)
    max_connections: int = Field(100, ge=10, le=5000)
    reserved_connections: int = Field(2, ge=0)


class ClientPolicy(Model):
    """What a client does when a login does not succeed at once."""

    timeout_s: Seconds = Field(10.0, gt=0, alias="timeout")
    attempts: int = Field(1, ge=1, le=20)
    backoff_initial_s: Seconds = Field(1.0, alias="backoff_initial")
    backoff_max_s: Seconds = Field(8.0, alias="backoff_max")
    patience_s: Seconds = Field(30.0, gt=0, alias="patience")
    retry_budget: Share | None = None


class Phase(Model):
    """From ``at`` on, logins arrive at ``rate``, reached linearly within ``ramp``."""

    name: Name
    at_s: Seconds = Field(alias="at")
    rate_per_s: PerSecond = Field(alias="rate")
    ramp_s: Seconds = Field(0.0, alias="ramp")
    settle_s: Seconds | None = Field(None, alias="settle")
    plateau_s: Seconds | None = Field(None, alias="plateau")


class Load(Model):
    """Who logs in, how often, and with what patience."""

    arrivals: Literal["poisson", "uniform"] = "poisson"
    client: ClientPolicy = ClientPolicy()
    start_lag_budget_s: Seconds = Field(0.1, alias="start_lag_budget")
    phases: tuple[Phase, ...] = Field(min_length=1)


class _Event(Model):
    """Something that stands on the timeline."""

    disturbs: ClassVar[bool] = True
    """Whether the system is to be watched at true speed after it."""

    at_s: Seconds = Field(alias="at")
    says: str = ""
    by: str = ""
    clock: Literal["detected"] | None = None
    settle_s: Seconds | None = Field(None, alias="settle")
    plateau_s: Seconds | None = Field(None, alias="plateau")

    def instants_s(self, replicas: int) -> tuple[float, ...]:
        """Incident seconds at which it does something."""
        return (self.at_s,)


class Note(_Event):
    """People looking, talking, escalating: it is shown and changes nothing."""

    disturbs: ClassVar[bool] = False
    do: Literal["note"]


class SetPool(_Event):
    """Rolls a new pool configuration over the replicas, ``bake`` apart."""

    do: Literal["set-pool"]
    size: int | None = Field(None, ge=0, le=1000)
    max_overflow: int | None = Field(None, ge=-1, le=1000)
    timeout_s: Seconds | None = Field(None, alias="timeout")
    bake_s: Seconds = Field(0.0, alias="bake")
    fix: bool = False

    @model_validator(mode="after")
    def _changes_something(self) -> SetPool:
        if self.size is None and self.max_overflow is None and self.timeout_s is None:
            raise ValueError("set-pool changes nothing: give size, max_overflow or timeout")
        return self

    def instants_s(self, replicas: int) -> tuple[float, ...]:
        return tuple(self.at_s + number * self.bake_s for number in range(replicas))

    def applied_to(self, pool: PoolConfig) -> PoolConfig:
        """``pool`` with what this action names replaced."""
        new = {
            name: value
            for name in ("size", "max_overflow", "timeout_s")
            if (value := getattr(self, name)) is not None
        }
        return pool.model_copy(update=new)


class ReconnectNetwork(_Event):
    """The network theory acted out: the edge drops its connections and takes fresh paths."""

    do: Literal["reconnect-network"]
    decoy: bool = True


Event = Annotated[Note | SetPool | ReconnectNetwork, Field(discriminator="do")]


class Clock(Model):
    """Incident time 0 on the document's clock, and the incident's length."""

    starts_at: datetime
    duration_s: Seconds = Field(gt=0, alias="duration")


class Outage(Model):
    """The stretch of incident time that the document calls the outage."""

    begin_s: Seconds = Field(alias="begin")
    end_s: Seconds = Field(alias="end")


class Replay(Model):
    """How the incident is shortened: true speed for ``settle`` after an event, then ``plateau``."""

    settle_s: Seconds = Field(15.0, alias="settle")
    plateau_s: Seconds = Field(5.0, alias="plateau")
    drain_s: Seconds = Field(5.0, alias="drain")


class Slo(Model):
    """Breached when, over ``window``, fewer than ``success`` of the logins that ended were good."""

    success: Share = 0.99
    latency_s: Seconds = Field(5.0, alias="latency")
    window_s: Seconds = Field(5.0, gt=0, alias="window")


class DocumentEntry(Model):
    """One line of the document's own timeline, by its own clock."""

    time: str
    says: str


class Postmortem(Model):
    """The facts as the document states them; measured values stand beside them in reports."""

    document: str
    title: str
    date: str
    duration_s: Seconds = Field(alias="duration")
    users_affected: Share
    impact: str
    root_cause: str
    resolution: str
    timeline: tuple[DocumentEntry, ...] = ()
    measures: tuple[str, ...] = ()


class Truth(Model):
    """What really was wrong: trigger, sustaining loop and capacity defect kept apart."""

    trigger: str = Field(min_length=1)
    sustaining_loop: str | None = None
    capacity_defect: str = Field(min_length=1)
    accepted_fixes: tuple[str, ...] = Field(min_length=1)
    traps: tuple[str, ...] = ()


class ExpectedShare(Model):
    """``share`` ± ``tolerance``."""

    share: Share
    tolerance: Share = 0.05


class Expectations(Model):
    """What the replay must measure for the incident to count as reproduced."""

    users_affected: ExpectedShare
    pool_timeouts_at_least: int = Field(1, ge=0)
    failed_before_surge_at_most: Share = 0.01
    recovered_success_at_least: Share = 0.99
    unrecovered_success_at_most: Share = 0.9
    capacity_tolerance: Share = 0.15


class Incident(Model):
    """A connection-pool outage, whole: service, load, faults, timeline, truth, expectations."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    title: str
    summary: str
    postmortem: Postmortem | None = None
    clock: Clock
    outage: Outage
    service: ServiceConfig = ServiceConfig()
    gateway: GatewayConfig = GatewayConfig()
    database: DatabaseConfig = DatabaseConfig()
    load: Load
    timeline: tuple[Event, ...] = ()
    replay: Replay = Replay()
    slo: Slo = Slo()
    truth: Truth
    expect: Expectations

    @property
    def surge(self) -> Phase | None:
        """The phase named ``surge``, else the one with the highest rate after the first."""
        later = self.load.phases[1:]
        named = next((phase for phase in later if phase.name == "surge"), None)
        return named or max(later, key=lambda phase: phase.rate_per_s, default=None)

    @property
    def fixes(self) -> tuple[SetPool, ...]:
        """The timeline's actions that are meant to end the outage."""
        return tuple(event for event in self.timeline if isinstance(event, SetPool) and event.fix)

    def disturbances(self) -> Iterator[tuple[float, float, float]]:
        """``(at_s, settle_s, plateau_s)`` of every instant after which things change."""
        replay = self.replay
        for phase in self.load.phases:
            yield (
                phase.at_s,
                replay.settle_s if phase.settle_s is None else phase.settle_s,
                replay.plateau_s if phase.plateau_s is None else phase.plateau_s,
            )
        for event in self.timeline:
            if event.disturbs:
                for at_s in event.instants_s(self.service.replicas):
                    yield (
                        at_s,
                        replay.settle_s if event.settle_s is None else event.settle_s,
                        replay.plateau_s if event.plateau_s is None else event.plateau_s,
                    )
