"""A database of the user's: checked, given a schema of ours, and left as it was found."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from harness.errors import PartStartError, TargetRefusedError
from harness.loopback import is_loopback_host
from harness.stack.database import STOP_S, connect_timeout_s
from harness.stack.guard import guard
from harness.stack.schema_removal import drop_schema

REMOVAL = Path(__file__).with_name("schema_removal.py")
PREFIX = "pooldrill_"
"""Of our schemas' names; other runs' schemas do not make a database one that is not empty."""

CONNECT_S = 5
SHOWN_TABLES = 5
NOT_THE_ADDRESS = {"application_name", "fallback_application_name", "connect_timeout"}
"""What a connection of ours has that its address does not lead anywhere by."""


class ExternalPostgres:
    """A database that the user names: all that is ours lies in a schema of its own.

    The schema is the whole search path of the service, so nothing else in the database is read or
    changed. It goes with all it holds when this is stopped, and behind a harness that was killed.
    """

    def __init__(self, dsn: str, schema: str, removal: _Removal) -> None:
        self._dsn = dsn
        self._removal = removal
        self.schema = schema

    @classmethod
    def attach(
        cls, dsn: str, *, allowed_host: str | None = None, allow_tables: bool = False
    ) -> ExternalPostgres:
        """Check the database and make our schema in it.

        Raises `TargetRefusedError` when a host of the address is neither on the loopback
        interface nor ``allowed_host``, or when the database holds tables of others and
        ``allow_tables`` does not permit that; `PartStartError` when it cannot be reached or
        nothing may be created in it. No error has the password in it.
        """
        hosts = _hosts(dsn)
        host = ", ".join(hosts) or "localhost"
        foreign = [name for name in hosts if not _is_here(name) and name != allowed_host]
        if foreign:
            raise TargetRefusedError(
                f"the database is on {', '.join(foreign)}, which is not this machine",
                remedy="Only a database you own may be drilled: --i-own-this-target HOST.",
            )
        schema = f"{PREFIX}{secrets.token_hex(4)}"
        with _database_errors(host):
            connection = psycopg.connect(dsn, connect_timeout=connect_timeout_s(dsn, CONNECT_S))
            with connection:
                _check_rights(connection)
                tables = [str(name) for (name,) in connection.execute(_USER_TABLES).fetchall()]
                given = connection.info.get_parameters()
                given.setdefault("host", connection.info.host)
                password = connection.info.password
        if tables and not allow_tables:
            more = f" and {len(tables) - SHOWN_TABLES} more" if len(tables) > SHOWN_TABLES else ""
            raise TargetRefusedError(
                f"the database on {host} is not empty: {', '.join(tables[:SHOWN_TABLES])}{more}",
                remedy="Create an empty database for Pooldrill: `createdb pooldrill`; or, if "
                "a drill's load may meet what else is in it, permit it with --i-own-this-database.",
            )
        address = {key: value for key, value in given.items() if key not in NOT_THE_ADDRESS}
        if "hostaddr" not in conninfo_to_dict(dsn):
            address.pop("hostaddr", None)  # psycopg's own look-up of the host
        removal = _Removal(make_conninfo(**address, password=password), schema)
        try:
            with _database_errors(host), psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        except BaseException:
            removal.carry_out(STOP_S)
            raise
        options = f"{address.get('options', '')} -csearch_path={schema}".strip()
        return cls(_url({**address, "options": options}, password), schema, removal)

    @property
    def dsn(self) -> str:
        """The address as it was given, as a URL, in our schema."""
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
        """Drop our schema, so that the database is as it was. May be called again; never fails.

        What could not be dropped is left to the guard, which tries again behind the harness.
        """
        self._removal.carry_out(within_s)


class _Removal:
    """The schema's removal, which the guard knows of before the schema is there."""

    def __init__(self, conninfo: str, schema: str) -> None:
        self._conninfo = conninfo
        self._schema = schema
        self._folder = Path(tempfile.mkdtemp(prefix="pooldrill-schema-"))  # for this user alone
        guard().add_folder(self._folder)
        (self._folder / "schema").write_text(f"{conninfo}\n{schema}\n", "utf-8")
        self._command = [sys.executable, "-P", str(REMOVAL), str(self._folder / "schema")]
        guard().add_command(self._command)

    def carry_out(self, within_s: float) -> None:
        """Drop the schema within about so many seconds; else it stays the guard's business."""
        if not self._folder.exists():
            return
        with contextlib.suppress(psycopg.Error):
            drop_schema(self._conninfo, self._schema, within_s)
            guard().drop_command(self._command)
            shutil.rmtree(self._folder, ignore_errors=True)
            guard().drop_folder(self._folder)


_USER_TABLES = """
    SELECT format('%s.%s', nspname, relname)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'm', 'f') AND nspname !~ '^(pooldrill_[0-9a-f]{8}$|pg_)'
      AND nspname <> 'information_schema'
    ORDER BY 1
"""


def _check_rights(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute(
        "SELECT has_database_privilege(current_database(), 'CREATE'),"
        " quote_ident(current_user), quote_ident(current_database()), pg_is_in_recovery()"
    ).fetchone()
    assert row is not None, "a SELECT without FROM has a row"
    may_create, user, database, in_recovery = row
    if in_recovery:
        raise PartStartError(
            f"the database {database} is a standby's, and nothing can be written into it",
            remedy="Name the primary server.",
        )
    if not may_create:
        raise PartStartError(
            f"the user {user} may not create a schema in the database {database}",
            remedy=f"Let it: GRANT CREATE ON DATABASE {database} TO {user};",
        )


@contextlib.contextmanager
def _database_errors(host: str) -> Iterator[None]:
    """What libpq and the server say names user, database and host, and no password."""
    try:
        yield
    except psycopg.Error as error:
        raise PartStartError(
            f"the database on {host} cannot be used: {error}",
            remedy="Correct the address that --stack has: "
            "postgresql://user:password@127.0.0.1:5432/database.",
        ) from error


def _url(address: Mapping[str, str], password: str) -> str:
    """The address as a URL, which is what the service takes, whatever it was given as."""
    words = dict(address)
    user, database = words.pop("user", ""), words.pop("dbname", "")
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    where = ""
    if not set("/,") & set(words.get("host", "/")) and "hostaddr" not in words:
        host, port = words.pop("host"), words.pop("port", "")
        where = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    query = urlencode(words, quote_via=quote)
    return f"postgresql://{who}@{where}/{quote(database, safe='')}" + (f"?{query}" if query else "")


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
    hosts = [name for names in named for name in names if name]
    if any("@" in host for host in hosts):
        # What stands before the last one is a piece of the password.
        raise TargetRefusedError(
            "the address has an @ more than it may have",
            remedy="Write %40 for an @ in the user's name or the password.",
        )
    return hosts


def _is_here(host: str) -> bool:
    """Whether the host is this machine: a socket directory or a loopback address."""
    return host.startswith("/") or is_loopback_host(host.strip("[]"))
