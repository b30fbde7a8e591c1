"""Recordings without a stack: an outage simulated event by event, written as a run directory.

What is written is physically plausible, because it comes out of queues and not out of formulas:
replicas with a FIFO connection pool, two checkouts a login, pool timeouts, clients that leave and
try again. The same arguments always give the same bytes in the tables.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from harness.incident import (
    ClientPolicy,
    Incident,
    Note,
    PoolConfig,
    ReconnectNetwork,
    SetPool,
    read_incident,
)
from harness.recording import (
    ARRIVALS,
    REQUESTS,
    SAMPLES,
    SESSIONS,
    RecordingWriter,
    RunInfo,
    TimelineEvent,
)
from harness.timemap import TimeMap, build_timemap

UNDERSIZED_YAML = """\
schema: 1
name: undersized-pool
title: Logins fail for 30 % of users after a surge meets a pool that was set too low
summary: >-
  Two replicas hold five database connections each. At 09:00 a surge asks for half as much again
  as they can carry. Requests queue for a connection, time out, are tried again.
postmortem:
  document: "Postmortem: Incident Summary (authentication service, 7 May 2024)"
  title: Authentication service down, about 30 % of users unable to log in
  date: May 7, 2024
  duration: 2h30m
  users_affected: 0.30
  impact: >-
    The website's authentication service was down, preventing users from logging in;
    approximately 30 % of users were affected.
  root_cause: >-
    The maximum connection limit of the authentication service's database connection pool was set
    too low, causing a bottleneck when the service experienced a surge in user requests.
  resolution: >-
    Database administrators increased the maximum connection limit and optimised the connection
    pooling settings.
  timeline:
    - {time: "09:00", says: Monitoring alerts on a spike in authentication service errors}
    - {time: "09:10", says: Engineers suspect database connectivity problems}
    - {time: "09:30", says: Misleading investigation of the network infrastructure}
    - {time: "10:00", says: Escalated to the database administration team}
    - {time: "10:30", says: Database administrators identify the misconfigured pool}
    - {time: "11:00", says: Corrective measures initiated - allow for more connections}
    - {time: "11:30", says: Authentication service restored to full functionality}
  measures:
    - Audit the database connection pool settings regularly
    - Monitor and alert on database connection usage
    - Establish escalation procedures for critical service disruptions
clock: {starts_at: 2024-05-07T08:50:00Z, duration: 170m}
outage: {begin: 10m, end: 2h40m}
service:
  replicas: 2
  pool: {implementation: sqlalchemy-async, size: 5, max_overflow: 0, timeout: 3s}
  work: 100ms
  hash: {time_cost: 1, memory_kib: 1024, parallelism: 1, workers: 2}
gateway: {timeout: 15s}
database: {users: 20000, max_connections: 100, reserved_connections: 2}
load:
  client: {timeout: 8s, attempts: 2, backoff_initial: 1s, backoff_max: 4s, patience: 20s}
  phases:
    - {name: baseline, at: 0s, rate: 30/s, settle: 5s, plateau: 10s}
    - {name: surge, at: 10m, rate: 140/s, settle: 15s, plateau: 10s}
timeline:
  - at: 10m
    do: note
    by: monitoring
    clock: detected
    says: Alerts on a spike in authentication service errors
  - {at: 20m, do: note, by: engineers, says: Database connectivity suspected}
  - at: 40m
    do: reconnect-network
    by: engineers
    says: Network infrastructure investigated; the edge is moved to fresh connections
    settle: 10s
    plateau: 10s
  - {at: 1h10m, do: note, by: engineers, says: Escalated to the database administrators}
  - at: 1h40m
    do: note
    by: database administrators
    says: The pool's connection limit is identified as too low
  - at: 2h10m
    do: set-pool
    by: database administrators
    fix: true
    size: 20
    bake: 25m
    says: The connection limit is raised, replica by replica
replay: {settle: 15s, plateau: 15s, drain: 5s}
slo: {success: 0.99, latency: 5s, window: 5s}
truth:
  trigger:
    says: A surge to 1.5 times the logins that the pools can carry.
    without: {load.phases.surge.rate: 30/s}
  capacity_defect:
    says: >-
      service.pool.size: 5 connections a replica serve 2 x 5 / 0.1 s = 100 logins a second at most.
    without: {service.pool.size: 20}
  accepted_fixes:
    - Raise the pool's limit (set-pool to 8 or more a replica).
    - Add replicas, as long as replicas x limit stays within max_connections.
  traps:
    - The network is healthy; moving the edge to fresh connections changes nothing.
    - The database is nearly idle; its CPU and its query times look innocent.
expect:
  users_affected: {share: 0.30, tolerance: 0.05}
  pool_timeouts_at_least: 100
  failed_before_surge_at_most: 0.01
  unrecovered_success_at_most: 0.9
  recovered_success_at_least: 0.99
  capacity_tolerance: 0.15
"""

READ_S = 0.003
HASH_S = 0.003
OVERHEAD_S = 0.008
"""What a login costs beside its server-side work: the read, the hash, the transaction's rest."""

ENVIRONMENT: Mapping[str, Any] = {
    "machine": {"cpus": 2, "memory_bytes": 8_589_934_592, "platform": "Linux-6.1-x86_64"},
    "versions": {"python": "3.11.2", "postgresql": "18.0", "sqlalchemy": "2.1.9"},
    "parts": {"gateway": "http://127.0.0.1:40001", "postgres": "127.0.0.1:40002"},
}


def synthetic_recording(
    directory: Path,
    *,
    seed: int = 1,
    pool_size: int = 5,
    yaml: str = UNDERSIZED_YAML,
    overrides: Mapping[str, str] | None = None,
    without_metrics: tuple[str, ...] = (),
    partial_at_s: float | None = None,
    dead_part: tuple[float, str] | None = None,
) -> Path:
    """Write a run directory and return it.

    ``pool_size`` 20 makes the surge harmless. ``overrides`` are field paths as ``--set`` has them.
    ``without_metrics`` leaves out the samples of metrics with these prefixes (``db_client_`` loses
    the pools, ``up`` the scrapes). ``partial_at_s`` stops the run at that replay second as a
    signal would. ``dead_part`` is an instant and a part's name: it is said to have died then.
    """
    settings = {"service.pool.size": str(pool_size), **(overrides or {})}
    incident = read_incident(yaml, file="incident.yaml", overrides=settings)
    timemap = build_timemap(incident)
    stop_s = partial_at_s if partial_at_s is not None else timemap.replay_length_s
    stop_s += 0.0 if partial_at_s is not None else incident.replay.drain_s
    simulation = _Simulation(incident, timemap, seed=seed, stop_s=stop_s)
    simulation.run()

    events = list(simulation.events)
    if dead_part is not None:
        at_s, part = dead_part
        told = {"part": part, "why": "exit code -9"}
        events.append(TimelineEvent(at_s, "lifecycle", "part-died", "at", told))
    samples = pl.DataFrame(simulation.samples, schema=SAMPLES, orient="row")
    for prefix in without_metrics:
        samples = samples.filter(~pl.col("metric").str.starts_with(prefix))

    info = RunInfo(incident.name, seed, t0_epoch=1_790_000_000.0, end_s=stop_s)
    writer = RecordingWriter(directory, info, incident)
    writer.environment(ENVIRONMENT)
    writer.table("arrivals", simulation.arrivals)
    writer.table("requests", pl.DataFrame(simulation.requests, schema=REQUESTS, orient="row"))
    writer.table("samples", samples)
    sessions = sorted(simulation.sessions.items())
    writer.table("sessions", pl.DataFrame(sessions, schema=SESSIONS, orient="row"))
    for event in sorted(events, key=lambda event: event.t_s):
        writer.event(event)
    if partial_at_s is None:
        writer.update(replace(info, status="complete"))
    else:
        writer.update(replace(info, status="partial", why="stopped by SIGTERM"))
    writer.close()
    return directory


@dataclass(eq=False)
class _Waiter:
    """Somebody who wants a connection: ``granted`` or ``refused`` is called, once."""

    since_s: float
    granted: Callable[[], None]
    refused: Callable[[], None]
    waiting: bool = True


@dataclass(eq=False)
class _Pool:
    """A FIFO pool with a timeout, and what its metrics count."""

    config: PoolConfig
    used: int = 0
    opened: int = 0
    timeouts: int = 0
    wait_s: float = 0.0
    waits: int = 0
    use_s: float = 0.0
    uses: int = 0
    logins: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_flight: int = 0
    queue: deque[_Waiter] = field(default_factory=deque)

    @cached_property
    def limit(self) -> int:
        return self.config.limit or 10_000

    @property
    def pending(self) -> int:
        return sum(waiter.waiting for waiter in self.queue)


class _Simulation:
    """Arrivals, clients and replicas on one heap of ``(time, order, what)``."""

    def __init__(self, incident: Incident, timemap: TimeMap, *, seed: int, stop_s: float) -> None:
        self.incident = incident
        self.timemap = timemap
        self.stop_s = stop_s
        self.now_s = -2.0
        self._random = Random(seed)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.pools = {name: _Pool(incident.service.pool) for name in incident.service.replica_names}
        self._scraped = dict(self.pools)
        self.requests: list[tuple[Any, ...]] = []
        self.samples: list[tuple[float, str, str, str, float]] = []
        self.sessions: Counter[int] = Counter()
        self.events: list[TimelineEvent] = []
        self._open: dict[tuple[int, int], tuple[Any, ...]] = {}
        self._answers: Counter[tuple[str, str]] = Counter()
        self._working = 0
        self.arrivals = self._schedule(clients=Random(f"{seed}/clients"))

    def at(self, time_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (time_s, next(self._order), what))

    def run(self) -> None:
        self._plan_timeline()
        for second in range(-2, int(self.stop_s) + 1):
            self.at(second + 0.05, self._scrape)
        intended = self.arrivals.select("arrival", "user", "intended_s")
        for arrival, user, intended_s in intended.iter_rows():
            sent_s = intended_s + self._random.expovariate(1 / 0.001)
            self.at(sent_s, partial(self._send, arrival, user, 1, intended_s))
        while self._heap and self._heap[0][0] <= self.stop_s:
            self.now_s, _, what = heapq.heappop(self._heap)
            what()
        for key, opened in sorted(self._open.items()):
            self.requests.append((*opened, None, "in_flight_at_end", None, "", self._replica(key)))
        self.requests.sort(key=lambda row: (row[0], row[2]))

    # The load

    def _schedule(self, *, clients: Random) -> pl.DataFrame:
        """Poisson arrivals, each of another user, at each phase's rate in replay time.

        What is drawn from ``clients`` (addresses, wrong passwords) leaves the instants alone.
        """
        phases = self.incident.load.phases
        starts = [self.timemap.to_replay_s(phase.at_s) for phase in phases]
        ends = [*starts[1:], self.timemap.replay_length_s]
        rows: list[tuple[int, int, float, str, str, bool]] = []
        for phase, begin_s, end_s in zip(phases, starts, ends, strict=True):
            networks = [ip_network(each) for each in self.incident.load.networks_of(phase)]
            time_s = begin_s + self._random.expovariate(phase.rate_per_s)
            while time_s < end_s:
                network = clients.choice(networks)
                address = str(network[clients.randrange(network.num_addresses)])
                wrong = clients.random() < phase.wrong_passwords
                rows.append((len(rows), len(rows), time_s, phase.name, address, wrong))
                time_s += self._random.expovariate(phase.rate_per_s)
        return pl.DataFrame(rows, schema=ARRIVALS, orient="row")

    def _replica(self, key: tuple[int, int]) -> str:
        names = self.incident.service.replica_names
        return names[(key[0] * 2654435761 >> 7) % len(names)]

    def _send(self, arrival: int, user: int, attempt: int, intended_s: float) -> None:
        key = (arrival, attempt)
        replica = self._replica(key)
        self._open[key] = (arrival, user, attempt, self.now_s)
        client = self.incident.load.client

        def end(outcome: str, status: int | None, code: str) -> None:
            opened = self._open.pop(key, None)
            if opened is None:
                return  # the client has left; the service went on without it
            self.requests.append((*opened, self.now_s, outcome, status, code, replica))
            self._answers[str(status or 499), replica] += 1
            if outcome != "ok":
                self._retry(arrival, user, attempt, intended_s, client)

        self._login(self.pools[replica], user, end)
        self.at(self.now_s + client.timeout_s, lambda: end("client_timeout", None, ""))

    def _retry(
        self, arrival: int, user: int, attempt: int, intended_s: float, client: ClientPolicy
    ) -> None:
        backoff_s = min(client.backoff_max_s, client.backoff_initial_s * 2 ** (attempt - 1))
        at_s = self.now_s + backoff_s * self._random.uniform(0.5, 1.0)
        if attempt < client.attempts and at_s < intended_s + client.patience_s:
            self.at(at_s, lambda: self._send(arrival, user, attempt + 1, intended_s))

    # The service

    def _login(self, pool: _Pool, user: int, end: Callable[[str, int | None, str], None]) -> None:
        """Read the user, let go, hash, work: two checkouts, as the service does."""
        pool.in_flight += 1
        work_s = self.incident.service.work_s

        def refused() -> None:
            pool.in_flight -= 1
            pool.logins["error", "pool_exhausted"] += 1
            end("http_error", 503, "pool_exhausted")

        def done() -> None:
            pool.in_flight -= 1
            pool.logins["success", ""] += 1
            self._working -= 1
            self.sessions[user] += 1
            end("ok", 200, "")

        def work() -> None:
            self._working += 1
            hold_s = work_s + self._random.uniform(0.5, 1.5) * OVERHEAD_S
            self._hold(pool, hold_s, done)

        def hashing() -> None:
            self.at(self.now_s + HASH_S, lambda: self._checkout(pool, work, refused))

        self._checkout(pool, lambda: self._hold(pool, READ_S, hashing), refused)

    def _checkout(
        self, pool: _Pool, granted: Callable[[], None], refused: Callable[[], None]
    ) -> None:
        waiter = _Waiter(self.now_s, granted, refused)
        pool.queue.append(waiter)
        self.at(self.now_s + pool.config.timeout_s, lambda: self._time_out(pool, waiter))
        self._serve(pool)

    def _serve(self, pool: _Pool) -> None:
        while pool.queue and (pool.used < pool.limit or not pool.queue[0].waiting):
            waiter = pool.queue.popleft()
            if waiter.waiting:
                waiter.waiting = False
                pool.used += 1
                pool.opened = max(pool.opened, pool.used)
                pool.waits += 1
                pool.wait_s += self.now_s - waiter.since_s
                waiter.granted()

    def _time_out(self, pool: _Pool, waiter: _Waiter) -> None:
        if waiter.waiting:
            waiter.waiting = False
            pool.timeouts += 1
            pool.waits += 1
            pool.wait_s += pool.config.timeout_s
            waiter.refused()

    def _hold(self, pool: _Pool, hold_s: float, then: Callable[[], None]) -> None:
        def let_go() -> None:
            pool.used -= 1
            pool.uses += 1
            pool.use_s += hold_s
            then()
            self._serve(pool)

        self.at(self.now_s + hold_s, let_go)

    # The timeline

    def _plan_timeline(self) -> None:
        to_replay_s = self.timemap.to_replay_s
        detail: dict[str, Any]
        for phase in self.incident.load.phases:
            detail = {"rate_per_s": phase.rate_per_s}
            self.at(to_replay_s(phase.at_s), self._saying("phase", phase.name, "at", detail))
        for event in self.incident.timeline:
            told = {"says": event.says, "by": event.by, "at_s": event.at_s, "clock": event.clock}
            detail = {key: value for key, value in told.items() if value}
            at_s = to_replay_s(event.at_s)
            if isinstance(event, Note):
                self.at(at_s, self._saying("note", event.by or "note", "at", detail))
            elif isinstance(event, ReconnectNetwork):
                self.at(at_s, self._saying("decoy", event.do, "begin", detail))
                self.at(at_s + 0.02, self._saying("decoy", event.do, "end", detail))
            elif isinstance(event, SetPool):
                self._plan_set_pool(event, detail)

    def _plan_set_pool(self, event: SetPool, told: dict[str, Any]) -> None:
        names = self.incident.service.replica_names
        before = self.incident.service.pool
        after = event.applied_to(before)
        for step, (name, at_s) in enumerate(
            zip(names, event.instants_s(len(names)), strict=True), start=1
        ):
            detail = told | {
                "fix": event.fix,
                "replica": name,
                "step": step,
                "steps": len(names),
                "before": f"{before.size}+{before.max_overflow}, timeout {before.timeout_s:g} s",
                "after": f"{after.size}+{after.max_overflow}, timeout {after.timeout_s:g} s",
            }
            replay_s = self.timemap.to_replay_s(at_s)

            say_end = self._saying("action", event.do, "end", detail)
            self.at(replay_s, self._saying("action", event.do, "begin", detail))
            self.at(replay_s + 1.4, partial(self._replace, name, after, say_end))

    def _replace(self, name: str, config: PoolConfig, say_end: Callable[[], None]) -> None:
        """A new process takes over; the old one works off what it has and is scraped until then."""
        self.pools[name] = _Pool(config)
        old = self._scraped[name]

        def drained() -> None:
            if old.in_flight:
                self.at(self.now_s + 0.1, drained)
            else:
                self._scraped[name] = self.pools[name]
                say_end()

        drained()

    def _saying(self, kind: Any, name: str, state: Any, detail: dict[str, Any]) -> Any:
        return lambda: self.events.append(
            TimelineEvent(round(self.now_s, 3), kind, name, state, detail)
        )

    # The recorder

    def _scrape(self) -> None:
        for name, pool in self._scraped.items():
            self._scrape_replica(name, pool)
        self._sample("gateway", "up", 1)
        for name, pool in self.pools.items():
            self._sample("gateway", "gateway_in_flight", pool.in_flight, replica=name)
        for (code, name), number in sorted(self._answers.items()):
            self._sample("gateway", "gateway_requests_total", number, code=code, replica=name)
        opened = sum(pool.opened for pool in self.pools.values())
        active = min(opened, self._working)
        states = {"active": active, "idle": opened - active, "idle in transaction": 0}
        self._sample("postgres", "up", 1)
        for state, number in states.items():
            labels = {"datname": "auth", "usename": "auth", "state": state}
            self._sample("postgres", "pg_stat_activity_count", number, **labels)
        limit = self.incident.database.max_connections
        self._sample("postgres", "pg_settings_max_connections", limit)

    def _scrape_replica(self, target: str, pool: _Pool) -> None:
        label = {"db_client_connection_pool_name": pool.config.name}
        counted: dict[str, float] = {
            "max": pool.limit,
            "pending_requests": pool.pending,
            "timeouts_total": pool.timeouts,
            "wait_time_seconds_sum": pool.wait_s,
            "wait_time_seconds_count": pool.waits,
            "use_time_seconds_sum": pool.use_s,
            "use_time_seconds_count": pool.uses,
        }
        self._sample(target, "up", 1)
        for state, number in (("used", pool.used), ("idle", pool.opened - pool.used)):
            self._sample(target, "db_client_connection_count", number, **label, state=state)
        for name, value in counted.items():
            self._sample(target, f"db_client_connection_{name}", value, **label)
        self._sample(target, "auth_http_requests_in_flight", pool.in_flight)
        for (outcome, reason), number in sorted(pool.logins.items()):
            self._sample(target, "auth_logins_total", number, outcome=outcome, reason=reason)

    def _sample(self, target: str, metric: str, value: float, **labels: str) -> None:
        text = ",".join(f'{name}="{labels[name]}"' for name in sorted(labels))
        self.samples.append((self.now_s, target, metric, text, float(value)))
