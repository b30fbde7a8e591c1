"""PgBouncer between the service and the database."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from urllib.parse import quote

import psycopg

from harness.errors import (
    InfrastructureError,
    PartStartError,
    PgbouncerMissingError,
    PortTakenError,
)
from harness.incident import PgbouncerConfig
from harness.stack.guard import guard
from harness.stack.pgbouncer_files import CONSOLE_USER, DATABASE, Behind, Files, Front
from harness.stack.ports import LOOPBACK, free_port
from harness.stack.postgres_programs import new_folder, server_identity
from harness.stack.process import Child, wait_until

NAME = "pgbouncer"
PROGRAM = "pgbouncer"
CONSOLE = "pgbouncer"
OTHER_PLACES = ("/usr/sbin", "/usr/local/sbin")
"""Where Debian puts it, and what a user's search path often lacks."""

READY_TIMEOUT_S = 20.0
RELOAD_TIMEOUT_S = 5.0
CONNECT_S = 5
STOP_S = 0.2
BIND_ATTEMPTS = 3
BIND_FAILED = "Address already in use"


def find_program() -> str | None:
    """The path of the installed PgBouncer."""
    places = [os.environ.get("PATH", os.defpath), *OTHER_PLACES]
    return shutil.which(PROGRAM, path=os.pathsep.join(places))


def require_program() -> str:
    """The path of the installed PgBouncer; `PgbouncerMissingError` where there is none."""
    program = find_program()
    if program is None:
        raise PgbouncerMissingError(
            f"PgBouncer is needed, but there is no program called {PROGRAM} on the search path",
            remedy="Install it: `apt-get install pgbouncer`, or `brew install pgbouncer`.",
        )
    return program


class Pgbouncer:
    """A PgBouncer on a free loopback port, with passwords of its own.

    Its clients cannot set what it does not keep track of: their ``options``, and in them a
    ``statement_timeout``, are ignored, as its documentation advises for clients that send any.
    """

    def __init__(self, program: str, child: Child, files: Files, config: PgbouncerConfig) -> None:
        self.program = program
        self.child = child
        self._files = files
        self._config = config

    @classmethod
    def start(
        cls,
        config: PgbouncerConfig,
        database_dsn: str,
        *,
        logs: Path,
        cancelled: threading.Event | None = None,
    ) -> Pgbouncer:
        """Start it in front of the database and wait until that answers through it.

        Raises `PgbouncerMissingError`, `PortTakenError`, or `PartStartError` with the end of the
        log.
        """
        program = require_program()
        try:
            with psycopg.connect(database_dsn, connect_timeout=CONNECT_S) as connection:
                behind = Behind.of(connection)
        except psycopg.Error as error:
            raise PartStartError(f"the database behind PgBouncer: {error}") from error
        # It refuses to run as root. Its folder holds passwords and belongs to nobody else.
        identity = server_identity()
        folder = new_folder(identity, prefix="pooldrill-pgbouncer-")
        guard().add_folder(folder)
        try:
            for attempt in range(BIND_ATTEMPTS):
                files = Files(folder, identity, behind, _front(behind.user))
                files.write(config)
                server = cls(program, _launch(program, files, logs), files, config)
                try:
                    server._await_answer(cancelled)
                except BaseException as error:
                    server.child.stop(STOP_S)
                    log = server.child.log_tail()
                    if not isinstance(error, PartStartError) or BIND_FAILED not in log:
                        raise
                    if attempt == BIND_ATTEMPTS - 1:
                        what = f"PgBouncer cannot listen on {server.address}{log}"
                        raise PortTakenError(what) from error
                else:
                    return server
        except BaseException:
            _remove(folder)
            raise
        raise AssertionError("unreachable")

    @property
    def dsn(self) -> str:
        """The service's address of the database, through PgBouncer."""
        return self._address(self._files.front.user, self._files.front.password, DATABASE)

    @property
    def console_dsn(self) -> str:
        """The address of its console, for a user who may read and change nothing."""
        return self._address(CONSOLE_USER, self._files.front.console_password, CONSOLE)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self._files.front.port}"

    @property
    def version(self) -> str:
        """Its version, such as ``1.18.0``, as the program itself says."""
        done = subprocess.run(
            [self.program, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
        found = re.search(r"\d+\.\d+\.\d+\S*", done.stdout)
        return found[0] if found else "unknown"

    def resize(self, default_pool_size: int) -> None:
        """Another pool size, while it runs; returns when it holds.

        Raises `InfrastructureError` when PgBouncer does not take it up.
        """
        self._config = self._config.model_copy(update={"default_pool_size": default_pool_size})
        self._files.write(self._config)
        self.child.send(signal.SIGHUP)
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
        _remove(self._files.folder)

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


def _launch(program: str, files: Files, logs: Path) -> Child:
    return Child(
        NAME,
        [program, str(files.configuration)],
        log=logs / f"{NAME}.log",
        env={"LC_ALL": "C", "PATH": os.defpath},
        cwd=files.folder,
        user=files.identity.user if files.identity else None,
        group=files.identity.group if files.identity else None,
    )


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        guard().drop_folder(folder)
