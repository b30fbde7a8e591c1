"""The database: PostgreSQL of our own (`postgres`), or one that the user names."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import Protocol

import psycopg
from psycopg.conninfo import conninfo_to_dict

from harness.errors import PartStartError, TargetRefusedError
from harness.stack.process import Child

STOP_S = 2.0


class Database(Protocol):
    """What the rest of the stack needs to know of a database."""

    @property
    def dsn(self) -> str:
        """The service's address of it: role `auth`, which owns the tables."""
        ...

    @property
    def monitor_dsn(self) -> str:
        """The recorder's address; keeps working while the service has every connection."""
        ...

    @property
    def admin_dsn(self) -> str:
        """The administrator's address."""
        ...

    @property
    def child(self) -> Child | None:
        """The server's process, when it is ours."""
        ...

    def stop(self, within_s: float = STOP_S) -> None:
        """End it, or leave it as it was found. May be called again."""
        ...


class ExternalPostgres:
    """A database that the user names; it must be empty, and is empty again afterwards."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    @classmethod
    def attach(cls, dsn: str, *, allow_remote: bool = False) -> ExternalPostgres:
        """Check the database and take it.

        Raises `TargetRefusedError` when it is not on the loopback interface (unless
        ``allow_remote``) or holds tables, `PartStartError` when it cannot be reached.
        """
        try:
            host = str(conninfo_to_dict(dsn).get("host") or "localhost")
        except psycopg.ProgrammingError as error:
            raise TargetRefusedError(f"not a PostgreSQL address: {error}") from error
        if not allow_remote and not is_loopback(host):
            raise TargetRefusedError(
                f"the database is on {host}, which is not this machine",
                remedy="Only a database you own may be drilled: --i-own-this-target HOST.",
            )
        try:
            with psycopg.connect(dsn, connect_timeout=5) as connection:
                tables = [str(name) for (name,) in connection.execute(_USER_TABLES).fetchall()]
        except psycopg.Error as error:
            raise PartStartError(f"the database on {host} cannot be used: {error}") from error
        if tables:
            raise TargetRefusedError(
                f"the database on {host} is not empty: {', '.join(tables[:5])}",
                remedy="Create an empty database for Pooldrill: `createdb pooldrill`.",
            )
        return cls(dsn)

    @property
    def dsn(self) -> str:
        """The address as it was given."""
        return self._dsn

    @property
    def monitor_dsn(self) -> str:
        """The same address: a foreign server's roles are not ours to create."""
        return self._dsn

    @property
    def admin_dsn(self) -> str:
        """The same address."""
        return self._dsn

    @property
    def child(self) -> None:
        """None: the server is not ours."""
        return None

    def stop(self, within_s: float = STOP_S) -> None:
        """Drop the service's tables, so that the database is as empty as it was."""
        with contextlib.suppress(psycopg.Error):
            timeout_ms = int(within_s * 1000)
            with psycopg.connect(
                self._dsn, connect_timeout=2, options=f"-c statement_timeout={timeout_ms}"
            ) as connection:
                connection.execute("DROP TABLE IF EXISTS sessions, users CASCADE")


_USER_TABLES = """
    SELECT schemaname || '.' || tablename FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""


def is_loopback(host: str) -> bool:
    """Whether the host is this machine: a socket directory, `localhost`, 127.0.0.0/8 or ::1."""
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
