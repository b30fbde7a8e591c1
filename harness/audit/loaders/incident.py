"""An incident's definition: the configuration with which its outage happens."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from harness.audit.finding import Unread
from harness.audit.loaders.service import IMPLEMENTATIONS
from harness.audit.parts import (
    Client,
    Gateway,
    Implementation,
    Monitor,
    Pool,
    Pooler,
    Practice,
    Server,
    Use,
    Workload,
)
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value
from harness.errors import PooldrillError
from harness.incident import Deploy, Incident, ServiceConfig, read_incident
from harness.incident.source import Source

T = TypeVar("T")

DEFAULTS = "the incident's schema"
PRACTICES: dict[str, Practice] = {
    "nested-checkout": "nested-checkout",
    "session-over-teardown": "session-over-teardown",
}
"""Defects of the auth service that code can be seen to have, too."""

SUPERUSER_RESERVED = 3.0
"""PostgreSQL's default, with which the stack's server runs."""


def recognises(file: SourceFile) -> bool:
    """By its content: a schema, a clock, a service and its load."""
    if file.path.suffix not in (".yaml", ".yml"):
        return False
    return all(f"\n{key}:" in f"\n{file.text}" for key in ("schema", "clock", "service", "load"))


def load(file: SourceFile) -> Reading:
    """The whole chain as the incident's deploys leave it; an incident says everything."""
    try:
        incident = read_incident(file.text, file=file.name)
    except PooldrillError as error:
        return Reading(unread=(Unread(file.name, error.message.splitlines()[0]),))
    at = _Places(file, Source(file.text, file=file.name), incident)
    service = incident.service
    for event in incident.timeline:
        if isinstance(event, Deploy) and not event.fix:
            service = event.service.applied_to(service)
    database = incident.database
    return Reading(
        clients=(_client(incident, at),),
        gateways=(
            Gateway(
                name=f"{incident.name}: gateway",
                place=at.place("gateway"),
                timeout_s=at(incident.gateway.timeout_s, "gateway", "timeout"),
            ),
        ),
        workloads=_workloads(incident.name, service, at),
        poolers=_poolers(incident, at),
        servers=(
            Server(
                name=f"{incident.name}: database",
                place=at.place("database"),
                max_connections=at(float(database.max_connections), "database", "max_connections"),
                superuser_reserved=Value.default(SUPERUSER_RESERVED, "PostgreSQL"),
                reserved=at(
                    float(database.reserved_connections), "database", "reserved_connections"
                ),
            ),
        ),
        monitors=_monitors(incident, at),
        peak_per_s=_peak(incident, at),
        complete=True,
    )


def _monitors(incident: Incident, at: _Places) -> tuple[Monitor, ...]:
    """The agent that connects for each scrape, where the incident has one."""
    exporter = incident.database.exporter
    if exporter == "none":
        return ()
    slot = at(exporter == "reserved", "database", "exporter")
    place = at.place("database")
    return (Monitor(name=f"{incident.name}: exporter", place=place, reserved_slot=slot),)


def _workloads(name: str, service: ServiceConfig, at: _Places) -> tuple[Workload, ...]:
    """Replicas that are alike, and each that has something of its own."""
    weights = {each: service.weight(each) for each in service.replica_names}
    total = sum(weights.values()) or math.inf
    alike = [each for each in service.replica_names if each not in service.exceptions]
    found = []
    for called, members in [(name, alike), *((f"{name}: {e}", [e]) for e in service.exceptions)]:
        if not members:
            continue
        own = ("service", "exceptions", members[0], "pool") if called != name else None
        where = own if own and at.says(*own) else ("service", "pool")
        found.append(
            Workload(
                name=called,
                place=at.place("service"),
                replicas=at(len(members), "service", "replicas"),
                processes=Value.default(1, "the auth service", at.place("service")),
                hold_s=_hold(service, at),
                share=at(sum(weights.get(each, 0.0) for each in members) / total, *where[:3]),
                pools=(_pool(service.of_replica(members[0]), where, at),),
                uses=_uses(service, at),
            )
        )
    return tuple(found)


def _hold(service: ServiceConfig, at: _Places) -> Value[float]:
    """A request's work, and its teardown where it keeps its connection over that."""
    if "session-over-teardown" in service.defects:
        return at(service.work_s + service.teardown_s, "service", "teardown")
    return at(service.work_s, "service", "work")


def _uses(service: ServiceConfig, at: _Places) -> tuple[Use, ...]:
    """What the service is deployed to do wrong, on the line that says so."""
    place = at(service.defects, "service", "defects").place or at.place("service")
    return tuple(
        Use(PRACTICES[defect], place, connections=2 if defect == "nested-checkout" else 1)
        for defect in service.defects
        if defect in PRACTICES
    )


def _client(incident: Incident, at: _Places) -> Client:
    policy, where = incident.load.client, ("load", "client")
    budget = policy.retry_budget
    return Client(
        place=at.place(*where),
        timeout_s=at(policy.timeout_s, *where, "timeout"),
        attempts=at(policy.attempts, *where, "attempts"),
        retry_budget=at(math.inf if budget is None else budget, *where, "retry_budget"),
    )


def _pool(service: ServiceConfig, where: tuple[str, ...], at: _Places) -> Pool:
    pool = service.pool
    implementation: Implementation = IMPLEMENTATIONS[pool.implementation]
    synchronous = pool.implementation == "sqlalchemy-sync"
    return Pool(
        name=pool.name,
        place=at.place(*where),
        implementation=implementation,
        size=at(float(pool.size or math.inf), *where, "size"),
        max_overflow=at(
            math.inf if pool.max_overflow < 0 else float(pool.max_overflow), *where, "max_overflow"
        ),
        max_waiting=at(float(pool.max_waiting or math.inf), *where, "max_waiting"),
        min_size=Value.unknown("it is not said")
        if pool.min_size is None
        else at(float(pool.min_size), *where, "min_size"),
        timeout_s=at(pool.timeout_s, *where, "timeout"),
        recycle_s=at(pool.recycle_s or math.inf, *where, "recycle"),
        pre_ping=at(pool.pre_ping, *where, "pre_ping"),
        use_lifo=at(pool.use_lifo, *where, "use_lifo"),
        connect_timeout_s=at(service.connect_timeout_s, "service", "connect_timeout"),
        is_async=Value.at(not synchronous, at.place(*where)),
        threads=at(float(pool.threads), *where, "threads")
        if synchronous
        else Value.unknown("nothing limits requests before the pool"),
    )


def _poolers(incident: Incident, at: _Places) -> tuple[Pooler, ...]:
    config = incident.pgbouncer
    if config is None:
        return ()
    where = "pgbouncer"
    return (
        Pooler(
            name=f"{incident.name}: PgBouncer",
            place=at.place(where),
            pool_mode=at(str(config.pool_mode), where, "pool_mode"),
            default_pool_size=at(float(config.default_pool_size), where, "default_pool_size"),
            reserve_pool_timeout_s=at(
                config.reserve_pool_timeout_s or math.inf, "pgbouncer", "reserve_pool_timeout"
            ),
            reserve_pool_size=at(float(config.reserve_pool_size), where, "reserve_pool_size"),
            max_client_conn=at(float(config.max_client_conn), where, "max_client_conn"),
            max_db_connections=Value.default(math.inf, "PgBouncer"),
            query_wait_timeout_s=at(
                config.query_wait_timeout_s or math.inf, where, "query_wait_timeout"
            ),
        ),
    )


def _peak(incident: Incident, at: _Places) -> Value[float]:
    """The highest rate that lasts for as long as the pool's timeout, at the least.

    A shorter spike times nobody out: the first timeout comes T·ρ/(ρ−1) > T after its beginning.
    """
    phases = incident.load.phases
    ends_s = [phase.at_s for phase in phases[1:]] + [incident.clock.duration_s]
    lasting = [
        number
        for number, end_s in enumerate(ends_s)
        if end_s - phases[number].at_s >= incident.service.pool.timeout_s
    ]
    if not lasting:
        return Value.unknown("no phase of the load lasts for as long as the pool's timeout")
    number = max(lasting, key=lambda each: phases[each].rate_per_s)
    return at(phases[number].rate_per_s, "load", "phases", number, "rate")


class _Places:
    """Values of the definition with the lines they stand on; what is left out is a default.

    What a deploy of the timeline changes stands where the deploy does.
    """

    def __init__(self, file: SourceFile, source: Source, incident: Incident) -> None:
        self._file = file
        self._source = source
        self._deploys = [
            number for number, event in enumerate(incident.timeline) if isinstance(event, Deploy)
        ]

    def place(self, *path: str | int) -> Place:
        """The line of ``path``, or of the nearest thing around it that is written down."""
        key = ".".join(str(part) for part in path)
        return Place(self._file.name, self._source.line(path) or 0, key)

    def __call__(self, value: T, *path: str | int) -> Value[T]:
        for number in reversed(self._deploys):
            deployed = ("timeline", number, *path)
            if path[0] == "service" and self.says(*deployed):
                return Value.at(value, self.place(*deployed))
        here = self.place(*path)
        return Value.at(value, here) if self.says(*path) else Value.default(value, DEFAULTS, here)

    def says(self, *path: str | int) -> bool:
        """Whether ``path`` is written down."""
        found: Any = self._source.data
        for part in path:
            try:
                found = found[part]
            except (KeyError, IndexError, TypeError):
                return False
        return True
