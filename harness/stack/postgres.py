"""PostgreSQL of our own: initialised, started, awaited, and gone without a trace afterwards."""

from __future__ import annotations

import contextlib
import ctypes
import secrets
import shutil
import signal
import threading
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from harness.errors import PartStartError, PortTakenError
from harness.incident import DatabaseConfig
from harness.stack.database import STOP_S
from harness.stack.guard import guard
from harness.stack.ports import LOOPBACK, free_port, require_free
from harness.stack.postgres_programs import Identity, new_folder, programs, server_identity
from harness.stack.process import Child, wait_until

NAME = "postgres"
APP_ROLE = "auth"
APP_DATABASE = "auth"
MONITOR_ROLE = "pooldrill_monitor"
ADMIN_ROLE = "postgres"

INITDB_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 45.0
FREE_PORT_ATTEMPTS = 3
BIND_FAILED = "could not bind"

# Settings of a server whose data is thrown away after the run. Durability is off because its cost
# is this machine's disk: a flush of 1 to 50 ms in each commit would be a second bottleneck behind
# the pool, different on each machine. synchronous_commit stays on, so a commit's code path is the
# usual one. What is not named here is PostgreSQL's default, as in production.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "track_io_timing": "off",
    "jit": "off",
    "io_method": "sync",  # three I/O worker processes fewer; the data is in memory anyway
    "dynamic_shared_memory_type": "mmap",  # goes with the data folder, even after kill -9
    "unix_socket_directories": "",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """PostgreSQL 18 of our own: a temporary folder, a free loopback port, random passwords.

    `start` returns when the roles `auth` and `pooldrill_monitor` and the empty database `auth`
    are there. The monitor may use the reserved connections, so that it still gets in when the
    service has taken all others.
    """

    def __init__(self, child: Child, folder: Path, port: int, passwords: dict[str, str]) -> None:
        self._child = child
        self._folder = folder
        self._passwords = passwords
        self.port = port

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
        try:
            binaries = programs(folder, identity)
            admin_password = secrets.token_urlsafe(18)
            _initialise(folder, binaries, identity, admin_password, log)
            child, bound = _start_server(folder, binaries, identity, config, log, port, cancelled)
        except BaseException:
            _remove(folder)
            raise
        passwords = {
            ADMIN_ROLE: admin_password,
            APP_ROLE: secrets.token_urlsafe(18),
            MONITOR_ROLE: secrets.token_urlsafe(18),
        }
        server = cls(child, folder, bound, passwords)
        try:
            server._create_roles()
        except BaseException as error:
            server.stop()
            if isinstance(error, psycopg.Error):
                raise PartStartError(f"PostgreSQL's roles: {error}{child.log_tail()}") from error
            raise
        return server

    @property
    def dsn(self) -> str:
        """The service's address: role `auth`, which owns the database `auth`."""
        return self._address(APP_ROLE, APP_DATABASE)

    @property
    def monitor_dsn(self) -> str:
        """The recorder's address: pg_monitor and a right to the reserved connections."""
        return self._address(MONITOR_ROLE, APP_DATABASE)

    @property
    def admin_dsn(self) -> str:
        """The superuser's address, in the database `auth`."""
        return self._address(ADMIN_ROLE, APP_DATABASE)

    @property
    def child(self) -> Child:
        """The server's process."""
        return self._child

    def stop(self, within_s: float = STOP_S) -> None:
        """Fast shutdown (sessions are cut), then the folder goes. May be called again."""
        segment = _shared_memory_id(self._folder)
        polite = self._child.stop(within_s)
        if segment is not None and (not polite or self._child.returncode != 0):
            _remove_shared_memory(segment)
        _remove(self._folder)

    def _address(self, role: str, database: str) -> str:
        password = quote(self._passwords[role], safe="")
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/{database}"

    def _create_roles(self) -> None:
        with psycopg.connect(
            self._address(ADMIN_ROLE, "postgres"), autocommit=True, connect_timeout=5
        ) as connection:
            for role in (APP_ROLE, MONITOR_ROLE):
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                        sql.Identifier(role), sql.Literal(self._passwords[role])
                    )
                )
            connection.execute(f"GRANT pg_monitor, pg_use_reserved_connections TO {MONITOR_ROLE}")
            connection.execute(f"CREATE DATABASE {APP_DATABASE} OWNER {APP_ROLE}")


def _initialise(
    folder: Path, binaries: Path, identity: Identity | None, password: str, log: Path
) -> None:
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if identity is not None:
        shutil.chown(password_file, identity.user, identity.group)
    argv = [
        str(binaries / "initdb"),
        f"--pgdata={folder / 'data'}",
        f"--username={ADMIN_ROLE}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--no-instructions",
        "--no-data-checksums",
    ]
    initdb = _child("initdb", argv, folder, identity, log, signal.SIGTERM)
    initdb.finish(INITDB_TIMEOUT_S)
    password_file.unlink()


def _start_server(
    folder: Path,
    binaries: Path,
    identity: Identity | None,
    config: DatabaseConfig,
    log: Path,
    port: int | None,
    cancelled: threading.Event | None,
) -> tuple[Child, int]:
    settings = SETTINGS | {
        "listen_addresses": LOOPBACK,
        "max_connections": str(config.max_connections),
        "reserved_connections": str(config.reserved_connections),
    }
    for attempt in range(FREE_PORT_ATTEMPTS):
        chosen = free_port() if port is None else port
        argv = [str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(chosen)]
        for key, value in settings.items():
            argv += ["-c", f"{key}={value}"]
        # SIGINT is the fast shutdown; SIGTERM would wait for the clients to go.
        child = _child(NAME, argv, folder, identity, log, signal.SIGINT)
        try:
            wait_until(
                "PostgreSQL to accept connections",
                lambda: _is_ready(folder),
                timeout_s=READY_TIMEOUT_S,
                watching=[child],
                cancelled=cancelled,
            )
        except PartStartError as error:
            child.stop(STOP_S)
            if BIND_FAILED not in child.log_tail():
                raise
            if port is not None or attempt == FREE_PORT_ATTEMPTS - 1:
                raise PortTakenError(
                    f"PostgreSQL cannot listen on {LOOPBACK}:{chosen}{child.log_tail()}"
                ) from error
        except BaseException:
            child.stop(STOP_S)
            raise
        else:
            return child, chosen
    raise AssertionError("unreachable")


def _child(
    name: str,
    argv: list[str],
    folder: Path,
    identity: Identity | None,
    log: Path,
    stop_signal: signal.Signals,
) -> Child:
    return Child(
        name,
        argv,
        log=log,
        # TZ spares initdb its search for the machine's time zone; C keeps the log in English.
        env={"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"},
        cwd=folder,
        stop_signal=stop_signal,
        user=identity.user if identity else None,
        group=identity.group if identity else None,
    )


def _postmaster_lines(folder: Path) -> list[str]:
    try:
        return (folder / "data" / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _is_ready(folder: Path) -> bool:
    """The eighth line of postmaster.pid is the server's state (PostgreSQL's pidfile.h)."""
    lines = _postmaster_lines(folder)
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _shared_memory_id(folder: Path) -> int | None:
    """The seventh line of postmaster.pid ends with the id of the server's SysV segment."""
    lines = _postmaster_lines(folder)
    words = lines[6].split() if len(lines) >= 7 else []
    return int(words[1]) if len(words) == 2 else None


def _remove_shared_memory(segment: int) -> None:
    """Remove the few bytes of SysV memory that a killed PostgreSQL could not remove itself."""
    ipc_rmid = 0
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).shmctl(segment, ipc_rmid, None)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        guard().drop_folder(folder)
