"""What PgBouncer reads: its configuration, and its users with their passwords."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from harness.incident import PgbouncerConfig

CONFIGURATION = "pgbouncer.ini"
USERS = "users.txt"
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
    """How PgBouncer reaches the database: ``words`` of its [databases] line, by their keys.

    ``schema`` is the search path of the service's sessions where it is not the server's own.
    """

    user: str
    words: Mapping[str, str]
    tls: bool
    schema: str | None = None

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> Behind:
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
        row = connection.execute("SELECT quote_ident(current_schema())").fetchone()
        schema = None if row is None or row[0] == "public" else str(row[0])
        if schema is not None:
            # It passes none of a client's settings on, so its own sessions have to be told.
            given["connect_query"] = f"SET search_path TO {schema}"
        return cls(info.user, given, tls=connection.pgconn.ssl_in_use, schema=schema)

    def at(self, host: str, port: int) -> Behind:
        """The same database as it is reached from elsewhere."""
        return replace(self, words={**self.words, "host": host, "port": str(port)})


@dataclass(frozen=True, slots=True)
class Listening:
    """Where it listens, and the folder of its files, as it sees both itself."""

    address: str
    port: int
    folder: Path


def files(
    config: PgbouncerConfig, behind: Behind, front: Front, listening: Listening
) -> dict[Path, str]:
    """What PgBouncer reads, by path; a running one reads them again when it is told to."""
    users = listening.folder / USERS
    settings = {
        "listen_addr": listening.address,
        "listen_port": str(listening.port),
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": str(users),
        "stats_users": CONSOLE_USER,
        # A client that sends these would be refused otherwise, and psycopg's users do.
        "ignore_startup_parameters": "options,extra_float_digits",
        "server_tls_sslmode": "require" if behind.tls else "disable",
        "pool_mode": config.pool_mode,
        "default_pool_size": str(config.default_pool_size),
        "reserve_pool_size": str(config.reserve_pool_size),
        "reserve_pool_timeout": f"{config.reserve_pool_timeout_s:g}",
        "max_client_conn": str(config.max_client_conn),
        "query_wait_timeout": f"{config.query_wait_timeout_s:g}",
        # The database may come back at another address of its network.
        "dns_max_ttl": "1",
        # Two lines for every connection say little; what goes wrong is logged all the same.
        "log_connections": "0",
        "log_disconnections": "0",
    }
    if behind.schema is not None:
        # Its usual DISCARD ALL would take the search path as well, and permits no second statement.
        settings["server_reset_query"] = (
            f"DEALLOCATE ALL; CLOSE ALL; UNLISTEN *; RESET ALL; SET search_path TO {behind.schema}"
        )
    server = " ".join(key + "=" + _quoted(word, "'") for key, word in behind.words.items())
    lines = ["[databases]", f"{DATABASE} = {server}", "[pgbouncer]"]
    lines += [f"{key} = {value}" for key, value in settings.items()]
    passwords = {front.user: front.password, CONSOLE_USER: front.console_password}
    entries = [" ".join(_quoted(text, '"') for text in entry) for entry in passwords.items()]
    return {users: _text(entries), listening.folder / CONFIGURATION: _text(lines)}


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str, quote_mark: str) -> str:
    """As PgBouncer reads it, in either of its files: a quote inside is doubled."""
    return f"{quote_mark}{text.replace(quote_mark, quote_mark * 2)}{quote_mark}"
