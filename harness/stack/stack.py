"""The whole stack as one thing: started in parallel, changed while it runs, ended for certain."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_all
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import httpx
import polars as pl
import psycopg

from harness.errors import (
    PrometheusMissingError,
    UsageError,
)
from harness.incident import DatabaseConfig, GatewayConfig, ServiceConfig
from harness.recording import SESSIONS, EventState
from harness.stack.database import Database, ExternalPostgres
from harness.stack.gateway import Gateway, Upstream
from harness.stack.guard import guard
from harness.stack.postgres import EmbeddedPostgres
from harness.stack.process import Child
from harness.stack.prometheus import Program, Prometheus, ScrapeTarget, find_program
from harness.stack.replicas import Replicas
from harness.stack.service import Replica, seed_accounts

OnEvent = Callable[[str, EventState, Mapping[str, Any]], None]
"""Called with what happens to the stack: name (``stack``, ``reconfigure``, …), state, detail."""

EMBEDDED = "embedded"
GATEWAY_TARGET = "gateway"
RETIRING = "-retiring"
DRAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class MetricTarget:
    """Something to scrape: a stable name and its present address."""

    name: str
    url: str
    generation: int = 1
    """The how-manieth process of its name it is."""


class DeadPart(NamedTuple):
    """A part that ended although nobody asked it to; ``why`` has the end of its log."""

    part: str
    why: str


class Stack:
    """PostgreSQL, the service's replicas, the gateway and, when installed, Prometheus.

    A context manager made by `start`. Its methods may be called from several threads; changes
    to the replicas happen one after the other.
    """

    def __init__(
        self, service: ServiceConfig, *, directory: Path, on_event: OnEvent | None = None
    ) -> None:
        self._service = service
        self._logs = directory
        self._on_event: OnEvent = on_event or (lambda name, state, detail: None)
        self._exit = ExitStack()
        self._cancelled = threading.Event()
        self._stopped = False
        self._client = httpx.Client(timeout=5.0, trust_env=False)
        self._folder = Path(tempfile.mkdtemp(prefix="pooldrill-stack-"))
        self._replicas = Replicas(
            client=self._client,
            logs=directory,
            folder=self._folder,
            cancelled=self._cancelled,
            moved=self._tell_prometheus,
        )
        self.ready_s = 0.0
        self.prometheus: Prometheus | None = None
        self.why_no_prometheus = "it was not asked for"
        self._database: Database | None = None
        self._gateway: Gateway | None = None
        # What is entered last ends first: gateway, replicas, Prometheus, PostgreSQL.
        self._exit.callback(self._clear_up)
        self._exit.callback(self._stop_postgres)
        self._exit.callback(self._stop_prometheus)
        self._exit.callback(self._stop_replicas)
        self._exit.callback(self._stop_gateway)

    @classmethod
    def start(
        cls,
        service: ServiceConfig,
        gateway: GatewayConfig,
        database: DatabaseConfig,
        *,
        directory: Path,
        prometheus: bool = True,
        require_prometheus: bool = False,
        postgres: str = EMBEDDED,
        allowed_host: str | None = None,
        on_event: OnEvent | None = None,
    ) -> Stack:
        """Start everything and return when the gateway can pass logins to every replica.

        ``directory`` gets the parts' logs. ``postgres`` is `embedded` or the DSN of an empty
        database. Without an installed Prometheus, `prometheus` is None and
        `why_no_prometheus` says why, unless it is required.

        1. together: PostgreSQL (or the check of the named database), the gateway, Prometheus;
        2. together: the replicas, and the accounts;
        3. the gateway and Prometheus learn the replicas' addresses.

        Raises `PartStartError`, `PortTakenError`, `PrometheusMissingError` or
        `TargetRefusedError`; nothing is left running then.
        """
        stack = cls(service, directory=directory, on_event=on_event)
        try:
            stack._start(
                gateway,
                database,
                prometheus=prometheus or require_prometheus,
                require_prometheus=require_prometheus,
                postgres=postgres,
                allowed_host=allowed_host,
            )
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
        assert self._gateway is not None, "the stack was started"
        return self._gateway

    @property
    def postgres(self) -> Database:
        """The database and its addresses."""
        assert self._database is not None, "the stack was started"
        return self._database

    @property
    def replicas(self) -> Mapping[str, Replica]:
        """The replicas by name, each with its present configuration; a snapshot."""
        return self._replicas.current

    def metric_targets(self) -> tuple[MetricTarget, ...]:
        """What can be scraped now.

        A replaced replica that still works off its requests is there under its name with
        ``-retiring``: it holds connections, and refuses logins, until it has ended.
        """
        # The retiring first: a replica that is being replaced now is then seen once or not at
        # all, and never under both names, which would count what it does twice.
        targets = [
            MetricTarget(f"{r.name}{RETIRING}", r.metrics_url, r.generation)
            for r in self._replicas.retiring
        ]
        targets += [
            MetricTarget(name, r.metrics_url, r.generation) for name, r in self.replicas.items()
        ]
        if self._gateway is not None:
            targets.append(MetricTarget(GATEWAY_TARGET, self._gateway.metrics_url))
        return tuple(targets)

    @property
    def replica_names(self) -> tuple[str, ...]:
        """The replicas' names, in order."""
        return self._service.replica_names

    def dead_parts(self) -> tuple[DeadPart, ...]:
        """The parts that ended although nobody asked them to."""
        return tuple(
            DeadPart(child.name, child.describe_death())
            for child in self._children()
            if child.died_unexpectedly()
        )

    def environment(self) -> dict[str, Any]:
        """Machine, versions and addresses, for ``environment.json``; no passwords."""
        with psycopg.connect(self.postgres.admin_dsn, connect_timeout=5) as connection:
            database_host, database_port = connection.info.host, connection.info.port
            version = connection.info.parameter_status("server_version")
        prometheus = self.prometheus
        return {
            "platform": platform.platform(),
            "cpu_count": os.cpu_count(),
            "python": platform.python_version(),
            "postgres": version,
            "prometheus": prometheus.program.version if prometheus else None,
            "why_no_prometheus": None if prometheus else self.why_no_prometheus,
            "ready_s": round(self.ready_s, 3),
            "addresses": {
                "gateway": self.gateway.url,
                "gateway_control": self.gateway.control.url,
                "postgres": f"{database_host}:{database_port}",
                "prometheus": prometheus.url if prometheus else None,
                **{name: replica.url for name, replica in self.replicas.items()},
            },
        }

    def sessions(self) -> pl.DataFrame:
        """The users that have sessions in the database, and how many: ``user``, ``sessions``.

        Users without a session are left out.
        """
        with psycopg.connect(self.postgres.admin_dsn, connect_timeout=5) as connection:
            rows = connection.execute(_SESSIONS_BY_USER).fetchall()
        return pl.DataFrame(rows, schema=SESSIONS, orient="row")

    # -- what can be done to it -------------------------------------------------------------

    def reconfigure(
        self, name: str, service: ServiceConfig, *, drain_s: float = DRAIN_S
    ) -> Replica:
        """Replace a replica by one with another configuration, without turning anybody away.

        The new process starts beside the old one (and takes its database connections beside
        it); when it is ready the gateway's address is switched, the old one works off what it
        has for at most ``drain_s`` seconds and is ended.
        """
        with self._event("reconfigure", name):
            return self._replicas.replace(
                name, service, self.postgres.dsn, self.gateway.control, drain_s=drain_s
            )

    def restart(self, name: str) -> Replica:
        """End a replica and start it again as it was; its users get errors meanwhile."""
        with self._event("restart", name):
            return self._replicas.restart(name, self.postgres.dsn, self.gateway.control)

    def kill(
        self, name: str, number: signal.Signals = signal.SIGKILL, *, expected: bool = False
    ) -> None:
        """Send a signal to a part: a replica's name, `postgres`, `gateway` or `prometheus`.

        With ``expected`` its death is not reported by `dead_parts`.
        """
        parts = {child.name: child for child in self._children()}
        if name not in parts:
            raise UsageError(f"no part is called {name}: {', '.join(sorted(parts))}")
        child = parts[name]
        if expected:
            child.expect_end()
        self._on_event("kill", "at", {"part": name, "signal": number.name})
        child.send(number)

    def stop(self) -> None:
        """End everything, in at most five seconds; may be called again."""
        if not self._stopped:
            self._stopped = True
            self._on_event("stack", "end", {})
        self._cancelled.set()
        self._exit.close()

    def __enter__(self) -> Stack:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -- how it starts ----------------------------------------------------------------------

    def _start(
        self,
        gateway: GatewayConfig,
        database: DatabaseConfig,
        *,
        prometheus: bool,
        require_prometheus: bool,
        postgres: str,
        allowed_host: str | None,
    ) -> None:
        began = time.monotonic()
        guard().add_folder(self._folder)
        self._on_event("stack", "begin", {"replicas": self._service.replicas})
        program = self._find_prometheus(require_prometheus) if prometheus else None
        with ThreadPoolExecutor(thread_name_prefix="stack-start") as pool:
            first: list[Future[None]] = [
                pool.submit(self._start_postgres, database, postgres, allowed_host),
                pool.submit(self._start_gateway, gateway),
            ]
            if program is not None:
                first.append(pool.submit(self._start_prometheus, program))
            self._join(first)
            launched = [
                self._replicas.launch(name, self._service, self.postgres.dsn)
                for name in self._service.replica_names
            ]
            self._join(
                [
                    pool.submit(self._seed, database.users),
                    *(pool.submit(self._replicas.await_ready, replica) for replica in launched),
                ]
            )
        for replica in launched:
            self._replicas.serve(replica)
        self.gateway.control.upstreams(
            Upstream(name=replica.name, url=replica.url) for replica in launched
        )
        self._tell_prometheus()
        self.ready_s = time.monotonic() - began
        self._on_event("stack", "at", {"ready_s": round(self.ready_s, 3)})

    def _join(self, futures: list[Future[None]]) -> None:
        """Wait for all; when one fails, call the others off and raise its error."""
        try:
            for future in futures:
                future.result()
        except BaseException:
            self._cancelled.set()
            wait_for_all(futures)
            raise

    def _start_postgres(
        self, config: DatabaseConfig, address: str, allowed_host: str | None
    ) -> None:
        if address == EMBEDDED:
            log = self._logs / "postgres.log"
            self._database = EmbeddedPostgres.start(config, log=log, cancelled=self._cancelled)
        else:
            self._database = ExternalPostgres.attach(address, allowed_host=allowed_host)

    def _start_gateway(self, config: GatewayConfig) -> None:
        self._gateway = Gateway.start(
            config,
            self._service.replica_names,
            client=self._client,
            logs=self._logs,
            folder=self._folder,
            cancelled=self._cancelled,
        )

    def _find_prometheus(self, required: bool) -> Program | None:
        found = find_program()
        if isinstance(found, Program):
            return found
        self.why_no_prometheus = found.reason
        if required:
            raise PrometheusMissingError(
                f"Prometheus is needed, but {found.reason}",
                remedy="Install it: `apt-get install prometheus`, or from prometheus.io.",
            )
        return None

    def _start_prometheus(self, program: Program) -> None:
        self.prometheus = Prometheus.start(
            program,
            client=self._client,
            logs=self._logs,
            folder=self._folder,
            cancelled=self._cancelled,
        )

    def _seed(self, users: int) -> None:
        log = self._logs / "accounts.log"
        seed_accounts(self.postgres.dsn, users, self._service.hash, log=log)

    # -- how it ends, and what it tells -----------------------------------------------------

    def _stop_gateway(self) -> None:
        if self._gateway is not None:
            self._gateway.stop()

    def _stop_replicas(self) -> None:
        if self.prometheus is not None:
            self.prometheus.child.ask_to_stop()  # meanwhile: all of it has five seconds
        self._replicas.stop()

    def _stop_prometheus(self) -> None:
        if self.prometheus is not None:
            self.prometheus.stop(within_s=0.5)

    def _stop_postgres(self) -> None:
        if self._database is not None:
            self._database.stop(within_s=1.3)

    def _clear_up(self) -> None:
        self._client.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        guard().drop_folder(self._folder)

    def _tell_prometheus(self) -> None:
        if self.prometheus is None:
            return
        jobs = {GATEWAY_TARGET: "gateway"}
        self.prometheus.set_targets(
            ScrapeTarget(
                job=jobs.get(target.name, "auth"),
                name=target.name.removesuffix(RETIRING),
                address=httpx.URL(target.url).netloc.decode(),
                generation=target.generation,
            )
            for target in self.metric_targets()
        )

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

    def _children(self) -> tuple[Child, ...]:
        children = [replica.child for replica in self.replicas.values()]
        if self._gateway is not None:
            children.append(self._gateway.child)
        if self.prometheus is not None:
            children.append(self.prometheus.child)
        if self._database is not None and self._database.child is not None:
            children.append(self._database.child)
        return tuple(children)


# A user's name is `user` and its number, counted from 0.
_SESSIONS_BY_USER = """
    SELECT substr(users.username, 5)::integer AS number, count(*) AS sessions
    FROM sessions JOIN users ON users.id = sessions.user_id
    GROUP BY users.username ORDER BY number
"""
