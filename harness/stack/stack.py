"""The whole stack as one thing: started in parallel, changed while it runs, ended for certain."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from harness.errors import UsageError
from harness.incident import (
    DatabaseConfig,
    GatewayConfig,
    PgbouncerConfig,
    ServiceConfig,
    Signal,
)
from harness.recording import EventState
from harness.stack.bystander import Bystander
from harness.stack.database import Database
from harness.stack.describing import environment
from harness.stack.gateway import Gateway
from harness.stack.parts import RETIRING as RETIRING
from harness.stack.parts import DeadPart, MetricTarget, Parts
from harness.stack.pgbouncer import NAME as PGBOUNCER
from harness.stack.pgbouncer import Pgbouncer
from harness.stack.ports import LOOPBACK
from harness.stack.postgres import APP_ROLE, OwnPostgres
from harness.stack.postgres_process import NAME as POSTGRES
from harness.stack.prometheus import Prometheus
from harness.stack.service import Replica
from harness.stack.sessions import Service, Which, by_user, locked_users, terminate
from harness.stack.starting import Wanted, start_parts
from harness.stack_kinds import EMBEDDED

OnEvent = Callable[[str, EventState, Mapping[str, Any]], None]
"""Called with what happens to the stack: name (``stack``, ``reconfigure``, …), state, detail."""

DRAIN_S = 5.0


class Stack:
    """PostgreSQL, the service's replicas, the gateway; PgBouncer and Prometheus, where wanted.

    A context manager made by `start`. Its methods may be called from several threads; changes
    to the replicas happen one after the other.
    """

    def __init__(
        self, service: ServiceConfig, *, directory: Path, on_event: OnEvent | None = None
    ) -> None:
        self._service = service
        self._on_event: OnEvent = on_event or (lambda name, state, detail: None)
        self._parts = Parts(directory)
        self._stopped = False
        self.ready_s = 0.0

    @classmethod
    def start(
        cls,
        service: ServiceConfig,
        gateway: GatewayConfig,
        database: DatabaseConfig,
        *,
        directory: Path,
        pgbouncer: PgbouncerConfig | None = None,
        prometheus: bool = True,
        require_prometheus: bool = False,
        postgres: str = EMBEDDED,
        allowed_host: str | None = None,
        allow_tables: bool = False,
        gateway_host: str = LOOPBACK,
        on_event: OnEvent | None = None,
    ) -> Stack:
        """Start everything and return when the gateway can pass logins to every replica.

        ``directory`` gets the parts' logs. ``postgres`` is `embedded`, `docker` or the DSN of a
        database, in which our tables get a schema of their own; ``allow_tables`` permits that it
        has others. Without an installed Prometheus, `prometheus` is None and
        `why_no_prometheus` says why, unless it is required. Clients reach the gateway at
        ``gateway_host``, an IPv4 address; everything else stays on loopback.

        1. together: PostgreSQL (or the check of the named database) with PgBouncer after it, the
           gateway, Prometheus;
        2. together: the replicas, and the accounts;
        3. the gateway and Prometheus learn the replicas' addresses;
        4. connecting to the database becomes as slow as it is to be.

        Raises `PartStartError`, `PortTakenError`, `PrometheusMissingError`,
        `PgbouncerMissingError`, `EngineError`, `ImageMissingError`, `TargetRefusedError`, or
        `UsageError` for what a database of the user's cannot be made to do; nothing is left
        running then.
        """
        wanted = Wanted(
            service,
            gateway,
            database,
            pgbouncer=pgbouncer,
            prometheus=prometheus,
            require_prometheus=require_prometheus,
            postgres=postgres,
            allowed_host=allowed_host,
            allow_tables=allow_tables,
            gateway_host=gateway_host,
        )
        stack = cls(service, directory=directory, on_event=on_event)
        began = time.monotonic()
        try:
            stack._on_event("stack", "begin", {"replicas": service.replicas})
            start_parts(stack._parts, wanted)
            stack.ready_s = time.monotonic() - began
            stack._on_event("stack", "at", {"ready_s": round(stack.ready_s, 3)})
        except BaseException:
            stack.stop()
            raise
        return stack

    # -- what it is -------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where clients log in: the gateway."""
        return self.gateway.url

    @property
    def gateway(self) -> Gateway:
        """The gateway and its control."""
        assert self._parts.gateway is not None, "the stack was started"
        return self._parts.gateway

    @property
    def postgres(self) -> Database:
        """The database and its addresses."""
        assert self._parts.database is not None, "the stack was started"
        return self._parts.database

    @property
    def owns_database(self) -> bool:
        """Whether the database is ours to restart and to be made slow."""
        return isinstance(self._parts.database, OwnPostgres)

    @property
    def exporter_dsn(self) -> str | None:
        """A monitoring agent's address of the database; None where there is no agent."""
        return self.postgres.exporter_dsn

    @property
    def pgbouncer(self) -> Pgbouncer | None:
        """What stands between the service and the database, if anything."""
        return self._parts.pgbouncer

    @property
    def pgbouncer_dsn(self) -> str | None:
        """The address of PgBouncer's console; None where there is no PgBouncer."""
        return None if self.pgbouncer is None else self.pgbouncer.console_dsn

    @property
    def prometheus(self) -> Prometheus | None:
        """The Prometheus beside the stack, where one is installed."""
        return self._parts.prometheus

    @property
    def why_no_prometheus(self) -> str:
        """Why there is none."""
        return self._parts.why_no_prometheus

    @property
    def replicas(self) -> Mapping[str, Replica]:
        """The replicas by name, backups too, each with its present configuration; a snapshot."""
        return self._parts.replicas.current

    @property
    def replica_names(self) -> tuple[str, ...]:
        """The replicas' names in order, with those that were added and without the backups."""
        return tuple(name for name in self.replicas if name not in self._service.backup_names)

    def metric_targets(self) -> tuple[MetricTarget, ...]:
        """What can be scraped now: replicas, backups, the gateway, bystanders.

        A replaced replica that still works off its requests is there under its name with
        ``-retiring``: it holds connections, and refuses logins, until it has ended.
        """
        return self._parts.metric_targets()

    def dead_parts(self) -> tuple[DeadPart, ...]:
        """The parts that ended although nobody asked them to."""
        return self._parts.dead()

    def environment(self) -> dict[str, Any]:
        """Machine, versions and addresses, for ``environment.json``; no passwords."""
        return environment(self._parts, ready_s=self.ready_s)

    def sessions(self) -> pl.DataFrame:
        """The users that have sessions in the database, and how many: ``user``, ``sessions``.

        Users without a session are left out. Raises `psycopg.Error` when it does not answer.
        """
        return by_user(self.postgres.admin_dsn)

    # -- what can be done to its processes --------------------------------------------------

    def reconfigure(
        self, name: str, service: ServiceConfig, *, drain_s: float = DRAIN_S
    ) -> Replica:
        """Replace a replica by one with another configuration, without turning anybody away.

        The new process starts beside the old one (and takes its database connections beside
        it); when it is ready the gateway's address is switched, the old one works off what it
        has for at most ``drain_s`` seconds and is ended.
        """
        dsn, control = self._parts.service_dsn, self.gateway.control
        with self._event("reconfigure", name):
            return self._parts.replicas.replace(name, service, dsn, control, drain_s=drain_s)

    def restart(self, name: str, service: ServiceConfig | None = None) -> Replica:
        """End a replica and start it again, as it was or with another configuration.

        Its users get errors meanwhile. The old process's connections are free for the new one.
        """
        dsn, control = self._parts.service_dsn, self.gateway.control
        with self._event("restart", name):
            return self._parts.replicas.restart(name, dsn, control, service)

    def scale_out(self, config: ServiceConfig) -> Replica:
        """Start one more replica with this configuration; it serves when this returns."""
        replicas = self._parts.replicas
        with replicas.adding() as name, self._event("scale-out", name):
            return replicas.add(name, config, self._parts.service_dsn, self.gateway.control)

    def set_pgbouncer(self, *, default_pool_size: int) -> None:
        """Give PgBouncer another pool size while it runs; it holds when this returns.

        Raises `UsageError` where there is no PgBouncer, `InfrastructureError` when it refuses.
        """
        if self.pgbouncer is None:
            raise UsageError(
                "there is no PgBouncer in this stack",
                remedy="Give the incident one: `pgbouncer: {default_pool_size: 20}`.",
            )
        with self._event("set-pgbouncer", PGBOUNCER):
            self.pgbouncer.resize(default_pool_size)

    def kill(
        self, name: str, number: signal.Signals = signal.SIGKILL, *, expected: bool = False
    ) -> None:
        """Send a signal to a part: a replica, `postgres`, `gateway`, a bystander, ….

        With ``expected`` its death is not reported by `dead_parts`.
        """
        parts = {child.name: child for child in self._parts.children()}
        if name not in parts:
            raise UsageError(f"no part is called {name}: {', '.join(sorted(parts))}")
        child = parts[name]
        if expected:
            child.expect_end()
        self._on_event("kill", "at", {"part": name, "signal": number.name})
        child.send(number)

    def bystander(self, signal: Signal) -> AbstractContextManager[Bystander]:
        """A bystander that gives this signal inside the context, and is scraped meanwhile."""
        return self._parts.bystanders.attending(
            signal, gateway_url=self.url, database_dsn=self.postgres.admin_dsn
        )

    # -- what can be done to its database ---------------------------------------------------

    def restart_database(self, *, max_connections: int | None = None, down_s: float = 0.0) -> None:
        """Shut a server of ours down, cutting all sessions, and start it ``down_s`` later.

        It comes back on the same port, with its data, and with ``max_connections`` if given.
        Returns early, without a database, when the stack is stopped meanwhile. Raises
        `UsageError` for a database of the user's, `PartStartError` when it does not come back.
        """
        database = self.postgres
        if not isinstance(database, OwnPostgres):
            raise UsageError(
                "only a database of ours can be restarted",
                remedy="Leave --stack out, or restart the database by hand.",
            )
        with self._event("restart-database", POSTGRES):
            database.restart(
                max_connections=max_connections, down_s=down_s, cancelled=self._parts.cancelled
            )

    def terminate_sessions(self, which: Which, older_s: float) -> int:
        """End the service's sessions that have been so for ``older_s`` seconds at least.

        ``blocking`` are all sessions, but for the recorder's, for which another one has waited
        that long. Returns how many were told to end. Raises `InfrastructureError` when the
        database does not do it.
        """
        service = Service(role=APP_ROLE)
        if not self.owns_database:  # whose role may be anybody's
            service = Service(names=tuple(self.replicas))
        return terminate(self.postgres.admin_dsn, which, older_s, service)

    def locked_users(self) -> AbstractContextManager[None]:
        """A session named `migration` holds the users' table for itself inside the context.

        It may be ended by anybody meanwhile: leaving never fails. Raises `InfrastructureError`
        on entering when the lock is not to be had within ten seconds.
        """
        return locked_users(self.postgres.admin_dsn)

    # -- how it ends ------------------------------------------------------------------------

    def stop(self) -> None:
        """End everything, in at most five seconds; may be called again."""
        if not self._stopped:
            self._stopped = True
            self._on_event("stack", "end", {})
        self._parts.stop()

    def __enter__(self) -> Stack:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @contextmanager
    def _event(self, what: str, part: str) -> Iterator[None]:
        began = time.monotonic()
        self._on_event(what, "begin", {"part": part})
        detail: dict[str, Any] = {"part": part}
        try:
            yield
        except BaseException as error:
            detail["failed"] = str(error)
            raise
        finally:
            detail["took_s"] = round(time.monotonic() - began, 3)
            self._on_event(what, "end", detail)
