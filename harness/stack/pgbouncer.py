"""PgBouncer between the service and the database."""

from __future__ import annotations

import re
import secrets
import threading
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import psycopg

from harness.errors import InfrastructureError, PartStartError, PortTakenError
from harness.incident import PgbouncerConfig
from harness.stack.engine import Engine
from harness.stack.pgbouncer_container import ContainerHome
from harness.stack.pgbouncer_files import CONSOLE_USER, DATABASE, Behind, Front
from harness.stack.pgbouncer_process import NAME as NAME
from harness.stack.pgbouncer_process import ProcessHome, require_program
from harness.stack.ports import LOOPBACK, free_port
from harness.stack.process import Supervised, wait_until

CONSOLE = "pgbouncer"
READY_TIMEOUT_S = 20.0
RELOAD_TIMEOUT_S = 5.0
CONNECT_S = 5
STOP_S = 0.2
BIND_ATTEMPTS = 3
BIND_FAILED = "Address already in use"


class Home(Protocol):
    """Where PgBouncer runs: as a process of this machine, or in a container."""

    def launch(self, config: PgbouncerConfig, behind: Behind, front: Front) -> Supervised:
        """Start it and return at once; `PortTakenError` where that is known at once."""
        ...

    def reload(
        self, server: Supervised, config: PgbouncerConfig, behind: Behind, front: Front
    ) -> None:
        """Have it read another configuration."""
        ...

    def remove(self) -> None:
        """Remove its files."""
        ...


class Pgbouncer:
    """A PgBouncer on a free loopback port, with passwords of its own.

    Its clients cannot set what it does not keep track of: their ``options``, and in them a
    ``statement_timeout``, are ignored, as its documentation advises for clients that send any.
    """

    def __init__(
        self, home: Home, child: Supervised, config: PgbouncerConfig, behind: Behind, front: Front
    ) -> None:
        self.child = child
        self._home = home
        self._config = config
        self._behind = behind
        self._front = front

    @classmethod
    def start(
        cls,
        config: PgbouncerConfig,
        database_dsn: str,
        *,
        logs: Path,
        cancelled: threading.Event | None = None,
        engine: Engine | None = None,
    ) -> Pgbouncer:
        """Start it in front of the database and wait until that answers through it.

        With an ``engine``, in a container beside the database's. Raises `PgbouncerMissingError`,
        `PortTakenError`, `EngineError`, or `PartStartError` with the end of the log.
        """
        if engine is None:
            require_program()
        try:
            with psycopg.connect(database_dsn, connect_timeout=CONNECT_S) as connection:
                behind = Behind.of(connection)
        except psycopg.Error as error:
            raise PartStartError(f"the database behind PgBouncer: {error}") from error
        home = ProcessHome(logs) if engine is None else ContainerHome(engine, logs)
        try:
            for attempt in range(BIND_ATTEMPTS):
                try:
                    return cls._attempt(home, config, behind, cancelled)
                except PortTakenError:
                    if attempt == BIND_ATTEMPTS - 1:
                        raise
        except BaseException:
            home.remove()
            raise
        raise AssertionError("unreachable")

    @classmethod
    def _attempt(
        cls,
        home: Home,
        config: PgbouncerConfig,
        behind: Behind,
        cancelled: threading.Event | None,
    ) -> Pgbouncer:
        front = _front(behind.user)
        server = cls(home, home.launch(config, behind, front), config, behind, front)
        try:
            server._await_answer(cancelled)
        except BaseException as error:
            server.child.stop(STOP_S)
            log = server.child.log_tail()
            if isinstance(error, PartStartError) and BIND_FAILED in log:
                what = f"PgBouncer cannot listen on {server.address}{log}"
                raise PortTakenError(what) from error
            raise
        return server

    @property
    def dsn(self) -> str:
        """The service's address of the database, through PgBouncer."""
        return self._address(self._front.user, self._front.password, DATABASE)

    @property
    def console_dsn(self) -> str:
        """The address of its console, for a user who may read and change nothing."""
        return self._address(CONSOLE_USER, self._front.console_password, CONSOLE)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self._front.port}"

    @property
    def version(self) -> str:
        """Its version, such as ``1.18.0``, as its console says."""
        try:
            with psycopg.connect(
                self.console_dsn, autocommit=True, connect_timeout=CONNECT_S
            ) as console:
                row = console.execute("SHOW VERSION").fetchone()
        except psycopg.Error:
            row = None
        found = re.search(r"\d+\.\d+\.\d+\S*", str(row[0])) if row else None
        return found[0] if found else "unknown"

    def resize(self, default_pool_size: int) -> None:
        """Another pool size, while it runs; returns when it holds.

        Raises `InfrastructureError` when PgBouncer does not take it up.
        """
        self._config = self._config.model_copy(update={"default_pool_size": default_pool_size})
        self._home.reload(self.child, self._config, self._behind, self._front)
        wait_until(
            "PgBouncer to read its configuration",
            lambda: self._setting("default_pool_size") == str(default_pool_size),
            timeout_s=RELOAD_TIMEOUT_S,
            watching=[self.child],
            error=InfrastructureError,
        )

    def stop(self, within_s: float = STOP_S) -> None:
        """End it; from version 1.23 on it would wait for its clients, and gets no time to."""
        self.child.stop(within_s)
        self._home.remove()

    def _setting(self, name: str) -> str | None:
        """What the running PgBouncer's console says; None when it says nothing."""
        try:
            with psycopg.connect(
                self.console_dsn, autocommit=True, connect_timeout=CONNECT_S
            ) as console:
                rows = console.execute("SHOW CONFIG").fetchall()
        except psycopg.Error:
            return None
        return {str(key): str(value) for key, value, *_ in rows}.get(name)

    def _address(self, user: str, password: str, database: str) -> str:
        who = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{who}@{self.address}/{database}"

    def _await_answer(self, cancelled: threading.Event | None) -> None:
        last = "no answer"

        def answers() -> bool:
            nonlocal last
            try:
                # A pool of statements refuses transactions.
                with psycopg.connect(
                    self.dsn, autocommit=True, connect_timeout=CONNECT_S
                ) as connection:
                    connection.execute("SELECT 1")
            except psycopg.Error as error:
                last = str(error)
                return False
            return True

        try:
            wait_until(
                "the database to answer through PgBouncer",
                answers,
                timeout_s=READY_TIMEOUT_S,
                watching=[self.child],
                cancelled=cancelled,
            )
        except PartStartError as error:
            raise PartStartError(f"{error.message}\n  the last attempt: {last}") from error


def _front(user: str) -> Front:
    """A free port, fresh passwords."""
    return Front(
        free_port(),
        user,
        password=secrets.token_urlsafe(18),
        console_password=secrets.token_urlsafe(18),
    )
