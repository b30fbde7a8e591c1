"""A database as it runs: its settings, sessions and roles, over one connection that reads only.

A PgBouncer is read in the same way, by its console (the database ``pgbouncer``).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import namedtuple_row

from harness.audit.joining.server_files import RESERVED_SLOT, SUPERUSER, WATCHING
from harness.audit.loaders.pgbouncer import DATABASES, database_of, pooler_of
from harness.audit.loaders.postgresql import CHAINED, server_of
from harness.audit.parts import Pooler, Server
from harness.audit.reading import Membership, Reading, RoleSetting
from harness.audit.values import Place, Value
from harness.errors import DatabaseRefusedError, UsageError

DSN = "POOLDRILL_AUDIT_DSN"
"""The environment variable that a DSN is better given in: a command line is seen by everybody."""

APPLICATION = "pooldrill-audit"
LONGEST_S = 5.0
"""For a server far away; one that is near answers within hundredths of a second."""
STATEMENT_MS = 500
CONSOLE = "/bouncer"
"""How the server_version of PgBouncer's console ends."""

_Row = Any
_MILLISECONDS = "ms"

_SETTINGS = """
SELECT name, reset_val AS text, coalesce(unit, '') AS unit, source
FROM pg_catalog.pg_settings WHERE name = ANY(string_to_array('{names}', ','))
"""
_ROLE_SETTINGS = """
SELECT coalesce(r.rolname, '') AS role, coalesce(d.datname, '') AS database, s.setconfig AS settings
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
"""
_ROLES = """
SELECT rolname AS role, rolconnlimit AS most, rolsuper AS superuser,
  NOT (rolcreaterole OR rolcreatedb) AND (
    pg_has_role(oid, 'pg_monitor', 'USAGE') OR pg_has_role(oid, 'pg_read_all_stats', 'USAGE')
  ) AS watches,
  coalesce(pg_has_role(oid, to_regrole('pg_use_reserved_connections')::oid, 'USAGE'), false)
    AS reserved
FROM pg_catalog.pg_roles WHERE rolcanlogin
"""
# Without pg_monitor, kind and state of other roles' sessions are hidden, and they count all the
# same.
_SESSIONS = """
SELECT coalesce(usename, '') AS role, count(*) AS sessions,
  max(extract(epoch FROM now() - state_change)) FILTER (WHERE state LIKE 'idle in transaction%')
    AS idle_s,
  bool_or(state IS NULL) AS hidden
FROM pg_catalog.pg_stat_activity
WHERE pid <> pg_backend_pid() AND usename IS NOT NULL
  AND coalesce(backend_type, 'client backend') = 'client backend'
GROUP BY 1 ORDER BY 2 DESC, 1
"""


def dsn_of(option: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The DSN that is asked for: the option's, else the environment's; None for no live audit."""
    if option is not None:
        return option
    given = environment.get(DSN)
    if given is not None and not given.strip():
        # As a secret that a CI server does not hand out: neither a DSN nor no wish for an audit.
        raise UsageError(f"{DSN} is empty", remedy="Fill it, or unset it to audit files alone.")
    return given


def read(dsn: str) -> Reading:
    """What the server at ``dsn`` runs with; of a PgBouncer's console, what that does.

    What ``dsn`` leaves out, libpq takes from the environment (PGSERVICE, PGPASSFILE, PGHOST, …).
    One connection, read-only, for `LONGEST_S` at the most. Raises `UsageError` for a DSN that is
    none or a password that is wrong, `DatabaseRefusedError` for a server that is not there, is
    full, or does not answer. Neither repeats the DSN.
    """
    try:
        given = conninfo_to_dict(dsn)
    except (psycopg.Error, ValueError):
        raise UsageError(
            "the DSN is not understood",
            remedy="Write postgresql://user@host:5432/database, or libpq's keywords.",
        ) from None
    where = _shown("" if _torn(dsn) else given.get("host") or given.get("service"))
    try:
        return asyncio.run(_read(dsn))
    except (psycopg.Error, TimeoutError, ValueError) as error:
        _refuse(error, where)


async def _read(dsn: str) -> Reading:
    async with asyncio.timeout(LONGEST_S):
        connection = await psycopg.AsyncConnection.connect(
            dsn, autocommit=True, application_name=APPLICATION
        )
        async with connection:
            if _is_console(connection):
                return Reading(poolers=(await _pooler(connection),), live=True)
            return await _server(connection)


def _is_console(connection: psycopg.AsyncConnection[Any]) -> bool:
    return (connection.info.parameter_status("server_version") or "").endswith(CONSOLE)


def _address(connection: psycopg.AsyncConnection[Any]) -> str:
    """Where it is, without a password."""
    info = connection.info
    scheme = "pgbouncer" if _is_console(connection) else "postgres"
    host = info.host if not info.host.startswith("/") else "localhost"
    return f"{scheme}://{host}:{info.port}/{info.dbname}"


def _torn(dsn: str) -> bool:
    """Whether a password may stand where the host should: an ``@`` or ``/`` of it is not escaped.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    """
    _, scheme, rest = dsn.partition("://")
    authority, _, behind = rest.partition("/")
    return bool(scheme) and ("@" in behind or authority.count("@") > 1)


async def _rows(cursor: psycopg.AsyncCursor[Any], query: str) -> list[_Row]:
    await cursor.execute(query)
    return await cursor.fetchall()


def _shown(name: object) -> str:
    """A host's or a service's name; what is none may be a part of a password."""
    return str(name) if re.fullmatch(r"[\w.:/,-]+", str(name or "")) else "the database"


async def _server(connection: psycopg.AsyncConnection[Any]) -> Reading:
    file = _address(connection)
    place = Place(file)
    async with connection.cursor(row_factory=namedtuple_row) as cursor:
        await cursor.execute("BEGIN READ ONLY")
        # First, because what the next line sets would be taken for the server's.
        names = ",".join(sorted(CHAINED))
        settings = await _rows(cursor, _SETTINGS.format(names=names))
        await cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_MS}")
        said = await _rows(cursor, _ROLE_SETTINGS)
        roles = await _rows(cursor, _ROLES)
        sessions = await _rows(cursor, _SESSIONS)
        await cursor.execute("ROLLBACK")
    info = connection.info
    bare = server_of({}, name=file, place=place)
    server = _with_settings(bare, settings, info.server_version, _hosts(info.host))
    return Reading(
        servers=(_with_sessions(server, sessions),),
        role_settings=(*_role_settings(said, file), *_limits(roles, file)),
        memberships=tuple(_memberships(roles, file)),
        live=True,
    )


def _with_settings(
    server: Server, rows: Iterable[_Row], version: int, hosts: tuple[str, ...]
) -> Server:
    """With what the server itself says; a setting that it does not have yet stays off."""
    said, own = {}, {}
    for row in rows:
        place = Place(server.place.file, key=row.name)
        if row.source in ("user", "database user", "client", "session"):
            # The role that audits has it of its own, which says nothing of the server's.
            own[row.name] = Value[float].unknown(f"the role that audits has its own {row.name}")
        said[row.name] = row.text + (row.unit if row.unit == _MILLISECONDS else ""), place
    found = server_of(said, name=server.name, place=server.place)
    hidden = {
        "statement_timeout": "statement_timeout_s",
        "lock_timeout": "lock_timeout_s",
        "idle_in_transaction_session_timeout": "idle_in_transaction_timeout_s",
        "idle_session_timeout": "idle_session_timeout_s",
    }
    changes: dict[str, Any] = {hidden[name]: value for name, value in own.items() if name in hidden}
    changes["hosts"] = hosts
    if "reserved_connections" not in said:
        whose = f"PostgreSQL {version // 10_000}, which keeps none"
        changes["reserved"] = Value.default(0.0, whose, server.place)
    return replace(found, **changes)


def _with_sessions(server: Server, rows: list[_Row]) -> Server:
    file = server.place.file
    idle = max((float(row.idle_s) for row in rows if row.idle_s is not None), default=0.0)
    hidden = any(row.hidden for row in rows)
    unknown = Value[float].unknown("the role that audits may not see sessions: GRANT pg_monitor")
    return replace(
        server,
        in_use=Value.at(float(sum(row.sessions for row in rows)), Place(file, key="sessions")),
        used_by=", ".join(f"{row.role} {row.sessions}" for row in rows[:3]),
        longest_idle_in_transaction_s=unknown
        if hidden and not idle
        else Value.at(idle, Place(file, key="sessions")),
    )


def _role_settings(rows: Iterable[_Row], file: str) -> Iterable[RoleSetting]:
    for row in rows:
        for setting in row.settings or ():
            key, _, text = setting.partition("=")
            if key in CHAINED:
                yield RoleSetting(row.role, row.database, key, text, Place(file, key=key))


def _limits(rows: Iterable[_Row], file: str) -> Iterable[RoleSetting]:
    for row in rows:
        if row.most >= 0 and not row.superuser:
            key = "connection limit"
            yield RoleSetting(row.role, "", key, str(row.most), Place(file, key=key))


def _memberships(rows: Iterable[_Row], file: str) -> Iterable[Membership]:
    """Of administrators, who may do much else, it is not known whether they watch."""
    for row in rows:
        place = Place(file, key=row.role)
        if row.superuser:
            yield Membership(SUPERUSER, row.role, place)
        elif row.watches:
            yield Membership(min(WATCHING), row.role, place)
        if row.reserved and not row.superuser:
            yield Membership(RESERVED_SLOT, row.role, place)


async def _pooler(connection: psycopg.AsyncConnection[Any]) -> Pooler:
    file = _address(connection)
    place = Place(file)
    async with connection.cursor(row_factory=namedtuple_row) as cursor:
        rows = await _rows(cursor, "SHOW CONFIG")
        databases = await _rows(cursor, "SHOW DATABASES")
    settings = {row.key: (str(row.value), Place(file, key=row.key)) for row in rows}
    settings.pop("auth_file", None)
    if settings and "max_prepared_statements" not in settings:  # before PgBouncer 1.21
        settings["max_prepared_statements"] = "0", Place(file, key="max_prepared_statements")
    return pooler_of(
        settings,
        name=file,
        place=place,
        hosts=_hosts(connection.info.host),
        databases=tuple(
            database_of(row.name, _words(row), Place(file, key=DATABASES))
            for row in databases
            if row.name != "pgbouncer"
        ),
    )


def _words(row: _Row) -> str:
    """A database's line, as its file would have it."""
    said = {"host": row.host, "user": row.force_user, "pool_size": row.pool_size}
    said["max_db_connections"] = row.max_connections
    said["reserve_pool_size"] = getattr(
        row, "reserve_pool_size", getattr(row, "reserve_pool", None)
    )
    words = {key: str(value) for key, value in said.items() if value not in (None, "", -1)}
    return " ".join(f"{key}={value}" for key, value in words.items() if not re.search(r"\s", value))


def _hosts(host: str) -> tuple[str, ...]:
    """The name that others know it by; a machine's own name for itself is none."""
    return () if host.startswith("/") or host in ("localhost", "127.0.0.1", "::1") else (host,)


# libpq gives no SQLSTATE for a connection that was refused: its words are all there is.
_FULL = re.compile(
    r"too many clients|remaining connection slots|too many connections for|"
    r"no more connections allowed",
    re.IGNORECASE,
)
_PASSWORD = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|role .* does not exist|"
    r"database .* does not exist|no such database|no such user|not allowed",
    re.IGNORECASE,
)
_NO_DSN = re.compile(
    r"bad value for|invalid [\w\s]+ value|invalid port number|invalid integer value|service file|"
    r"definition of service|(certificate|key) file .* does not exist",
    re.IGNORECASE,
)
_LATE = re.compile(r"timeout|timed out", re.IGNORECASE)


def _refuse(error: Exception, where: str) -> NoReturn:
    """Say why there is no audit, and what to do. It is never as if there was nothing to say."""
    text = str(error)
    state = getattr(error, "sqlstate", None) or ""
    if state == "53300" or _FULL.search(text):
        raise DatabaseRefusedError(
            f"{where} is full and refused the audit (SQLSTATE 53300): whoever comes now is refused",
            remedy="Give the audit a role with pg_use_reserved_connections (PostgreSQL 16 or "
            "newer, with reserved_connections above 0), or a superuser's; and audit the files.",
        ) from None
    if state[:2] in ("28", "3D", "42") or _PASSWORD.search(text):
        raise UsageError(
            f"{where} does not let the audit in or does not let it read",
            remedy="Check user, database and password (PGPASSFILE keeps it off the command line).",
        ) from None
    if _NO_DSN.search(text):
        raise UsageError(
            f"the DSN of {where} cannot be used: an option, a port, a service or a file in it",
            remedy="psql with the same DSN says which.",
        ) from None
    if isinstance(error, TimeoutError) or state == "57014" or _LATE.search(text):
        raise DatabaseRefusedError(
            f"{where} did not answer in time ({LONGEST_S:g} s in all, {STATEMENT_MS} ms a query)",
            remedy="Check host and port, and whether the server is overloaded.",
        ) from None
    raise DatabaseRefusedError(
        f"{where} cannot be reached, or refused the audit ({type(error).__name__})",
        remedy="Check host and port; psql with the same DSN says more.",
    ) from None
