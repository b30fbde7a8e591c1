"""The database: PostgreSQL of our own (`postgres`), or one that the user names."""

from __future__ import annotations

import contextlib
import os
from typing import Protocol

import psycopg
from psycopg.conninfo import conninfo_to_dict

from harness.errors import PartStartError, TargetRefusedError
from harness.loopback import is_loopback_host
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
    def exporter_dsn(self) -> str | None:
        """A monitoring agent's address; None where there is none."""
        ...

    @property
    def scram_iterations(self) -> int | None:
        """How often the service hashes its password when it connects; None where unknown."""
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
    def attach(cls, dsn: str, *, allowed_host: str | None = None) -> ExternalPostgres:
        """Check the database and take it.

        Raises `TargetRefusedError` when a host of the address is neither on the loopback
        interface nor ``allowed_host``, or when the database holds tables; `PartStartError` when
        it cannot be reached.
        """
        hosts = _hosts(dsn)
        host = ", ".join(hosts) or "localhost"
        foreign = [name for name in hosts if not _is_here(name) and name != allowed_host]
        if foreign:
            raise TargetRefusedError(
                f"the database is on {', '.join(foreign)}, which is not this machine",
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
    def exporter_dsn(self) -> None:
        """None: a foreign server's roles are not ours to create."""
        return None

    @property
    def scram_iterations(self) -> None:
        """None: the password was made by somebody else."""
        return None

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


def connect_timeout_s(dsn: str, usual_s: int) -> int:
    """How long connecting to ``dsn`` may take: what it says itself, else ``usual_s``."""
    return int(conninfo_to_dict(dsn).get("connect_timeout") or usual_s)


_USER_TABLES = """
    SELECT schemaname || '.' || tablename FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""


def _hosts(dsn: str) -> list[str]:
    """Every host and address that libpq might connect to for ``dsn``."""
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        # libpq's message quotes the address, and with it the password.
        raise TargetRefusedError(
            "that is not a PostgreSQL address",
            remedy="Write --stack postgresql://user:password@127.0.0.1:5432/database, or embedded.",
        ) from None
    if "service" in given:
        raise TargetRefusedError("the address names a service file, which may lead anywhere")
    defaults = {"host": os.environ.get("PGHOST"), "hostaddr": os.environ.get("PGHOSTADDR")}
    named = [str(given.get(key) or default or "").split(",") for key, default in defaults.items()]
    return [name for names in named for name in names if name]


def _is_here(host: str) -> bool:
    """Whether the host is this machine: a socket directory or a loopback address."""
    return host.startswith("/") or is_loopback_host(host.strip("[]"))
