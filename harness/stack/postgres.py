"""PostgreSQL of our own: up with its roles, away and back, and gone without a trace afterwards."""

from __future__ import annotations

import math
import secrets
import threading
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import psycopg
from psycopg import sql

from harness.errors import PartStartError, PortTakenError
from harness.incident import DatabaseConfig
from harness.stack.connecting import DEFAULT_ITERATIONS, iterations_for, set_password
from harness.stack.database import STOP_S
from harness.stack.guard import guard
from harness.stack.ports import LOOPBACK, free_port, held, require_free
from harness.stack.postgres_process import Installation, remove_folder
from harness.stack.postgres_programs import new_folder, programs, server_identity
from harness.stack.process import Supervised, wait_until

APP_ROLE = "auth"
APP_DATABASE = "auth"
MONITOR_ROLE = "pooldrill_monitor"
EXPORTER_ROLE = "exporter"
ADMIN_ROLE = "postgres"

BIND_ATTEMPTS = 3
SHUTDOWN_S = 10.0
"""For a fast shutdown whose data is needed again; it takes a fraction of a second."""

CONNECT_S = 2
"""For a connection on loopback; libpq takes no less."""


class Home(Protocol):
    """Where a server of ours runs, and its data: a folder of this machine, or a volume."""

    def launch(self, config: DatabaseConfig, port: int) -> Supervised:
        """Start a server over the data and return at once."""
        ...

    def await_ready(
        self,
        server: Supervised,
        admin_dsn: str,
        port: int,
        *,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Wait until it accepts connections; `PortTakenError`, `PartStartError`."""
        ...

    def end(self, server: Supervised, within_s: float) -> None:
        """End the server for good, and its data with it. May be called again."""
        ...

    def remove(self) -> None:
        """Remove the data, of a server that does not run."""
        ...


class OwnPostgres:
    """PostgreSQL of our own, on a loopback port, with random passwords, wherever it runs.

    It is made with the roles `auth` and `pooldrill_monitor` and the empty database `auth`. The
    monitor may use the reserved connections, so that it still gets in when the service has taken
    all others. The role `exporter` is there when the configuration has one.
    """

    def __init__(
        self,
        home: Home,
        config: DatabaseConfig,
        passwords: dict[str, str],
        *,
        port: int | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Start a server over a ``home`` that was initialised with the administrator's password.

        Raises `PortTakenError` when ``port`` was given and is taken, `PartStartError` with the
        end of the log when the server does not come up; nothing is left then.
        """
        self._home = home
        self._config = config
        self._passwords = passwords
        self.scram_iterations = DEFAULT_ITERATIONS
        """How often the service hashes its password when it connects."""

        self._restarting = threading.Lock()
        self._launching = threading.Lock()
        self._stopped = False
        self.port = 0
        self._server = self._start(port, cancelled)
        try:
            self._create_roles()
        except BaseException as error:
            self.stop()
            if isinstance(error, psycopg.Error):
                what = f"PostgreSQL's roles: {error}{self._server.log_tail()}"
                raise PartStartError(what) from error
            raise

    @property
    def dsn(self) -> str:
        """The service's address: role `auth`, which owns the database `auth`."""
        return self._address(APP_ROLE, APP_DATABASE)

    @property
    def monitor_dsn(self) -> str:
        """The recorder's address: pg_monitor and a right to the reserved connections."""
        return self._patient(self._address(MONITOR_ROLE, APP_DATABASE))

    @property
    def exporter_dsn(self) -> str | None:
        """A monitoring agent's address, with or without the right to the reserved connections."""
        if EXPORTER_ROLE not in self._passwords:
            return None
        return self._address(EXPORTER_ROLE, APP_DATABASE)

    @property
    def admin_dsn(self) -> str:
        """The superuser's address, in the database `auth`."""
        return self._patient(self._address(ADMIN_ROLE, APP_DATABASE))

    @property
    def child(self) -> Supervised:
        """The server's present process, or its present container."""
        return self._server

    def slow_down_connecting(self) -> None:
        """From now on each new connection takes ``connect_delay_s``; nothing when that is 0.

        Not from the start, so that our own roles and accounts are there in the usual time.
        `PartStartError` when the server does not take it up.
        """
        delay_s = int(self._config.connect_delay_s)
        if not delay_s:
            return
        try:
            with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
                connection.execute(f"ALTER SYSTEM SET pre_auth_delay = {delay_s}")
                connection.execute("SELECT pg_reload_conf()")
                # The postmaster, which makes the connections, reads its files before it tells its
                # children to: what one of them shows holds for it as well.
                shown = "SELECT setting FROM pg_settings WHERE name = 'pre_auth_delay'"
                wait_until(
                    "PostgreSQL to slow connecting down",
                    lambda: connection.execute(shown).fetchone() == (str(delay_s),),
                    timeout_s=10.0,
                    watching=[self._server],
                )
        except psycopg.Error as error:
            raise PartStartError(f"PostgreSQL's pre_auth_delay: {error}") from error

    def restart(
        self,
        *,
        max_connections: int | None = None,
        down_s: float = 0.0,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Fast shutdown, ``down_s`` seconds of absence, and back on the same port and data.

        All sessions are cut. When ``cancelled`` is set or `stop` called meanwhile it returns at
        once, without a server. Raises `PartStartError` when the server does not come back; it is
        dead then, unexpectedly.
        """
        cancelled = cancelled or threading.Event()
        with self._restarting:
            self._server.stop(SHUTDOWN_S)
            if max_connections is not None:
                change = {"max_connections": max_connections}
                self._config = self._config.model_copy(update=change)
            # Clients try to connect all the time. Without a listener one of these connections
            # could be given this very port as its own, and the server could not come back.
            with held(self.port):
                if cancelled.wait(down_s):
                    return
            for attempt in range(BIND_ATTEMPTS):
                try:
                    if not self._launch_again():
                        return
                    self._await_ready(cancelled)
                except PortTakenError:
                    if self._stopped or cancelled.is_set():
                        return
                    if attempt == BIND_ATTEMPTS - 1:
                        raise
                except PartStartError:
                    if self._stopped or cancelled.is_set():
                        return
                    raise
                else:
                    return

    def stop(self, within_s: float = STOP_S) -> None:
        """Cut all sessions and end it; then its data goes. May be called again."""
        with self._launching:
            self._stopped = True
        self._home.end(self._server, within_s)

    def _start(self, port: int | None, cancelled: threading.Event | None) -> Supervised:
        """The server, on ``port`` or on a free one: another one when the first was lost."""
        try:
            for attempt in range(BIND_ATTEMPTS):
                self.port = free_port() if port is None else port
                try:
                    self._server = self._home.launch(self._config, self.port)
                    try:
                        self._await_ready(cancelled)
                    except BaseException:
                        self._server.stop(STOP_S)
                        raise
                except PortTakenError:
                    if port is not None or attempt == BIND_ATTEMPTS - 1:
                        raise
                else:
                    return self._server
        except BaseException:
            self._home.remove()
            raise
        raise AssertionError("unreachable")

    def _await_ready(self, cancelled: threading.Event | None) -> None:
        admin_dsn = self._patient(self._address(ADMIN_ROLE, "postgres"))
        self._home.await_ready(self._server, admin_dsn, self.port, cancelled=cancelled)

    def _launch_again(self) -> bool:
        """A new process in the old one's place; False when the server was stopped for good."""
        with self._launching:
            if self._stopped:
                return False
            self._server.stop(0.0)  # the guard forgets it; it has ended
            self._server = self._home.launch(self._config, self.port)
            return True

    def _address(self, role: str, database: str) -> str:
        password = quote(self._passwords[role], safe="")
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/{database}"

    def _patient(self, address: str) -> str:
        """The address, saying how long a connection takes where that is more than usual."""
        delay_s = math.ceil(self._config.connect_delay_s)
        return f"{address}?connect_timeout={delay_s + CONNECT_S}" if delay_s else address

    def _create_roles(self) -> None:
        with psycopg.connect(
            self._address(ADMIN_ROLE, "postgres"), autocommit=True, connect_timeout=5
        ) as connection:
            for role, password in self._passwords.items():
                if role != ADMIN_ROLE:
                    connection.execute(
                        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                            sql.Identifier(role), sql.Literal(password)
                        )
                    )
            connection.execute(f"GRANT pg_monitor, pg_use_reserved_connections TO {MONITOR_ROLE}")
            if self._config.exporter != "none":
                connection.execute(f"GRANT pg_monitor TO {EXPORTER_ROLE}")
            if self._config.exporter == "reserved":
                connection.execute(f"GRANT pg_use_reserved_connections TO {EXPORTER_ROLE}")
            connection.execute(f"CREATE DATABASE {APP_DATABASE} OWNER {APP_ROLE}")
            if self._config.connect_cost_s:
                self._make_connecting_cost(connection)

    def _make_connecting_cost(self, admin: psycopg.Connection) -> None:
        """The service pays for each connection, and nobody else."""
        password = self._passwords[APP_ROLE]
        self.scram_iterations = iterations_for(
            self._config.connect_cost_s, admin, APP_ROLE, password, self.dsn
        )
        set_password(admin, APP_ROLE, password, iterations=self.scram_iterations)


class EmbeddedPostgres(OwnPostgres):
    """PostgreSQL 18 of our own as processes of this machine, in a temporary folder."""

    @classmethod
    def start(
        cls,
        config: DatabaseConfig,
        *,
        log: Path,
        port: int | None = None,
        cancelled: threading.Event | None = None,
    ) -> EmbeddedPostgres:
        """Initialise, start and await a server.

        Raises `PortTakenError` when ``port`` was given and is taken, `PartStartError` with the
        end of the log when the server does not come up.
        """
        if port is not None:
            require_free(port, "PostgreSQL")
        identity = server_identity()
        folder = new_folder(identity)
        guard().add_folder(folder)
        passwords = new_passwords(config)
        try:
            installation = Installation(folder, programs(folder, identity), identity, log)
            installation.initialise(ADMIN_ROLE, passwords[ADMIN_ROLE])
        except BaseException:
            remove_folder(folder)
            raise
        return cls(installation, config, passwords, port=port, cancelled=cancelled)


def new_passwords(config: DatabaseConfig) -> dict[str, str]:
    """A random password for each role that the configuration has."""
    roles = [ADMIN_ROLE, APP_ROLE, MONITOR_ROLE]
    if config.exporter != "none":
        roles.append(EXPORTER_ROLE)
    return {role: secrets.token_urlsafe(18) for role in roles}
