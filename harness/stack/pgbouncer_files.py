"""What PgBouncer reads: its configuration, and its users with their passwords."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from harness.incident import PgbouncerConfig
from harness.stack.ports import LOOPBACK
from harness.stack.postgres_programs import Identity

DATABASE = "auth"
"""What the database is called in front, whatever it is called behind."""

CONSOLE_USER = "pooldrill_stats"


@dataclass(frozen=True, slots=True)
class Front:
    """How PgBouncer is reached: its passwords are its own, not the database's."""

    port: int
    user: str
    password: str
    console_password: str


@dataclass(frozen=True, slots=True)
class Behind:
    """How PgBouncer reaches the database: ``words`` of its [databases] line, by their keys."""

    user: str
    words: Mapping[str, str]
    tls: bool

    @classmethod
    def of(cls, connection: psycopg.Connection[tuple[object, ...]]) -> Behind:
        """Where and as whom libpq got in, whichever way it was told to.

        The password is among the words, so that PgBouncer can prove it to the server by SCRAM.
        """
        info = connection.info
        is_socket = info.host.startswith("/")
        words = {
            "host": info.host if is_socket else info.hostaddr or info.host,
            "port": str(info.port),
            "dbname": info.dbname,
            "user": info.user,
            "password": info.password,
        }
        given = {key: value for key, value in words.items() if value}
        return cls(info.user, given, tls=connection.pgconn.ssl_in_use)


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one PgBouncer, in a folder of its own and for its eyes only."""

    folder: Path
    identity: Identity | None
    behind: Behind
    front: Front

    @property
    def configuration(self) -> Path:
        """What it is started with."""
        return self.folder / "pgbouncer.ini"

    def write(self, config: PgbouncerConfig) -> None:
        """Write both; a running PgBouncer reads them again when it is told to."""
        users = self.folder / "users.txt"
        passwords = {
            self.front.user: self.front.password,
            CONSOLE_USER: self.front.console_password,
        }
        lines = [" ".join(_quoted(text, '"') for text in entry) for entry in passwords.items()]
        self._write(users, lines)
        settings = {
            "listen_addr": LOOPBACK,
            "listen_port": str(self.front.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(users),
            "stats_users": CONSOLE_USER,
            # A client that sends these would be refused otherwise, and psycopg's users do.
            "ignore_startup_parameters": "options,extra_float_digits",
            "server_tls_sslmode": "require" if self.behind.tls else "disable",
            "pool_mode": config.pool_mode,
            "default_pool_size": str(config.default_pool_size),
            "reserve_pool_size": str(config.reserve_pool_size),
            "reserve_pool_timeout": f"{config.reserve_pool_timeout_s:g}",
            "max_client_conn": str(config.max_client_conn),
            "query_wait_timeout": f"{config.query_wait_timeout_s:g}",
            # Two lines for every connection say little; what goes wrong is logged all the same.
            "log_connections": "0",
            "log_disconnections": "0",
        }
        words = self.behind.words.items()
        server = " ".join(key + "=" + _quoted(word, "'") for key, word in words)
        lines = ["[databases]", f"{DATABASE} = {server}", "[pgbouncer]"]
        lines += [f"{key} = {value}" for key, value in settings.items()]
        self._write(self.configuration, lines)

    def _write(self, path: Path, lines: list[str]) -> None:
        path.touch(mode=0o600)
        path.write_text("".join(f"{line}\n" for line in lines))
        if self.identity is not None:
            shutil.chown(path, self.identity.user, self.identity.group)


def _quoted(text: str, quote_mark: str) -> str:
    """As PgBouncer reads it, in either of its files: a quote inside is doubled."""
    return f"{quote_mark}{text.replace(quote_mark, quote_mark * 2)}{quote_mark}"
