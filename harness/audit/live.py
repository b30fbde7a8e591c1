"""A database as it runs: its settings, sessions and roles, over one connection that reads only.

A PgBouncer is read in the same way, by its console (the database ``pgbouncer``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from harness.audit.joining.server_files import RESERVED_SLOT, SUPERUSER, TIMEOUTS, WATCHING
from harness.audit.loaders.pgbouncer import DATABASES, database_of, pooler_of
from harness.audit.loaders.postgresql import CHAINED, server_of
from harness.audit.parts import Pooler, Server
from harness.audit.reading import Membership, Reading, RoleSetting
from harness.audit.refusals import late, refuse
from harness.audit.server_session import Refused, Row, ServerSession, within
from harness.audit.values import Place, Value
from harness.errors import UsageError

DSN = "POOLDRILL_AUDIT_DSN"
"""The environment variable that a DSN is better given in: a command line is seen by everybody."""

APPLICATION = "pooldrill-audit"
CONNECT_S = 4.0
"""For a server far away; one that is near answers within hundredths of a second."""
ASK_S = 1.0
"""For all that is asked: who reads needs a connection, and there may be none to spare."""
STATEMENT_MS = 500
CONSOLE = "/bouncer"
"""How the server_version of PgBouncer's console ends."""

_MILLISECONDS = "ms"

_SETTINGS = """
SELECT name, reset_val AS text, coalesce(unit, '') AS unit, source
FROM pg_catalog.pg_settings WHERE name = ANY(string_to_array('{names}', ','))
"""
_ROLE_SETTINGS = """
SELECT coalesce(r.rolname, '') AS role, coalesce(d.datname, '') AS database,
  unnest(s.setconfig) AS setting
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
    One connection, read-only, made within `CONNECT_S` and asked for `ASK_S` at the most. Raises
    `UsageError` for a DSN that is none or a password that is wrong, `DatabaseRefusedError` for a
    server that is not there, is full, or does not answer. Neither repeats the DSN.
    """
    try:
        given = conninfo_to_dict(dsn)
        conninfo = make_conninfo(dsn, application_name=APPLICATION, client_encoding="UTF8")
    except (psycopg.Error, ValueError):
        raise UsageError(
            "the DSN is not understood",
            remedy="Write postgresql://user@host:5432/database, or libpq's keywords.",
        ) from None
    where = _shown("" if _torn(dsn) else given.get("host") or given.get("service"))
    connect_s = _patience(given.get("connect_timeout"), where)
    try:
        return within(CONNECT_S + 2 * ASK_S, lambda: _read(conninfo, connect_s, where))
    except Refused as refused:
        refuse(refused, where)
    except TimeoutError:
        raise late(where, got_in=False) from None


def _patience(given: object, where: str) -> float:
    """The DSN's connect_timeout, where it is the shorter one; 0 and less are for ever."""
    try:
        asked_s = int(str(given or 0))
    except ValueError:
        refuse(Refused("", "invalid integer value"), where)
    return min(CONNECT_S, asked_s) if asked_s > 0 else CONNECT_S


def _read(conninfo: str, connect_s: float, where: str) -> Reading:
    with ServerSession(conninfo, connect_s=connect_s, ask_s=ASK_S) as session:
        try:
            if _is_console(session):
                return Reading(poolers=(_pooler(session),), live=True)
            return _server(session)
        except TimeoutError:
            raise late(where) from None


def _is_console(session: ServerSession) -> bool:
    return session.product.endswith(CONSOLE)


def _address(session: ServerSession) -> str:
    """Where it is, without a password."""
    scheme = "pgbouncer" if _is_console(session) else "postgres"
    host = "localhost" if _is_socket(session.host) else session.host
    return f"{scheme}://{host}:{session.port}/{session.database}"


def _is_socket(host: str) -> bool:
    """A folder; or a name that only Linux has, which begins with an ``@``."""
    return host.startswith(("/", "@"))


def _torn(dsn: str) -> bool:
    """Whether a password may stand where the host should: an ``@`` or ``/`` of it is not escaped.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
    """
    _, scheme, rest = dsn.partition("://")
    authority, _, behind = rest.partition("/")
    return bool(scheme) and ("@" in behind or authority.count("@") > 1)


def _shown(name: object) -> str:
    """A host's or a service's name; what is none may be a part of a password."""
    return str(name) if re.fullmatch(r"[\w.:/,-]+", str(name or "")) else "the database"


def _server(session: ServerSession) -> Reading:
    file = _address(session)
    place = Place(file)
    # All in one message: one round trip, and never idle in a transaction. The settings first,
    # because what the next line sets would be taken for the server's.
    settings, said, roles, sessions = session.ask(
        "BEGIN READ ONLY",
        _SETTINGS.format(names=",".join(sorted(CHAINED))),
        f"SET LOCAL statement_timeout = {STATEMENT_MS}",
        _ROLE_SETTINGS,
        _ROLES,
        _SESSIONS,
        "ROLLBACK",
    )
    bare = server_of({}, name=file, place=place)
    server = _with_settings(bare, settings, session.version, _hosts(session.host))
    return Reading(
        servers=(_with_sessions(server, sessions),),
        role_settings=(*_role_settings(said, file), *_limits(roles, file)),
        memberships=tuple(_memberships(roles, file)),
        live=True,
    )


def _with_settings(
    server: Server, rows: Iterable[Row], version: int, hosts: tuple[str, ...]
) -> Server:
    """With what the server itself says; a setting that it does not have yet stays off."""
    said, own = {}, {}
    for row in rows:
        name, unit = _of(row, "name"), _of(row, "unit")
        place = Place(server.place.file, key=name)
        if _of(row, "source") in ("user", "database user", "client", "session"):
            # The role that audits has it of its own, which says nothing of the server's.
            own[name] = Value[float].unknown(f"the role that audits has its own {name}")
        said[name] = _of(row, "text") + (unit if unit == _MILLISECONDS else ""), place
    found = server_of(said, name=server.name, place=server.place)
    changes: dict[str, Any] = {
        TIMEOUTS[name]: each for name, each in own.items() if name in TIMEOUTS
    }
    changes["hosts"] = hosts
    if "reserved_connections" not in said:
        whose = f"PostgreSQL {version // 10_000}, which keeps none"
        changes["reserved"] = Value.default(0.0, whose, server.place)
    return replace(found, **changes)


def _with_sessions(server: Server, rows: Iterable[Row]) -> Server:
    file = server.place.file
    rows = tuple(rows)
    idle = max((float(_of(row, "idle_s") or 0.0) for row in rows), default=0.0)
    hidden = any(_is(row, "hidden") for row in rows)
    unknown = Value[float].unknown("the role that audits may not see sessions: GRANT pg_monitor")
    in_use = float(sum(int(_of(row, "sessions")) for row in rows))
    return replace(
        server,
        in_use=Value.at(in_use, Place(file, key="sessions")),
        used_by=", ".join(f"{_of(row, 'role')} {_of(row, 'sessions')}" for row in rows[:3]),
        longest_idle_in_transaction_s=unknown
        if hidden and not idle
        else Value.at(idle, Place(file, key="sessions")),
    )


def _role_settings(rows: Iterable[Row], file: str) -> Iterable[RoleSetting]:
    for row in rows:
        key, _, text = _of(row, "setting").partition("=")
        if key in CHAINED:
            role, database = _of(row, "role"), _of(row, "database")
            yield RoleSetting(role, database, key, text, Place(file, key=key))


def _limits(rows: Iterable[Row], file: str) -> Iterable[RoleSetting]:
    for row in rows:
        most = _of(row, "most")
        if int(most) >= 0 and not _is(row, "superuser"):
            key = "connection limit"
            yield RoleSetting(_of(row, "role"), "", key, most, Place(file, key=key))


def _memberships(rows: Iterable[Row], file: str) -> Iterable[Membership]:
    """Of administrators, who may do much else, it is not known whether they watch."""
    for row in rows:
        role = _of(row, "role")
        place = Place(file, key=role)
        if _is(row, "superuser"):
            yield Membership(SUPERUSER, role, place)
        elif _is(row, "watches"):
            yield Membership(min(WATCHING), role, place)
        if _is(row, "reserved") and not _is(row, "superuser"):
            yield Membership(RESERVED_SLOT, role, place)


def _pooler(session: ServerSession) -> Pooler:
    file = _address(session)
    place = Place(file)
    # The console takes one command a message.
    (rows,) = session.ask("SHOW CONFIG")
    (databases,) = session.ask("SHOW DATABASES")
    settings = {
        _of(row, "key"): (_of(row, "value"), Place(file, key=_of(row, "key"))) for row in rows
    }
    settings.pop("auth_file", None)
    if settings and "max_prepared_statements" not in settings:  # before PgBouncer 1.21
        settings["max_prepared_statements"] = "0", Place(file, key="max_prepared_statements")
    return pooler_of(
        settings,
        name=file,
        place=place,
        hosts=_hosts(session.host),
        databases=tuple(
            database_of(_of(row, "name"), _words(row), Place(file, key=DATABASES))
            for row in databases
            if _of(row, "name") != "pgbouncer"
        ),
    )


def _words(row: Row) -> str:
    """A database's line, as its file would have it."""
    said = {
        "host": row.get("host"),
        "user": row.get("force_user"),
        "pool_size": row.get("pool_size"),
        "max_db_connections": row.get("max_connections"),
        "reserve_pool_size": row.get("reserve_pool_size", row.get("reserve_pool")),
    }
    words = {key: value for key, value in said.items() if value not in (None, "", "-1")}
    return " ".join(
        f"{key}={value}" for key, value in words.items() if not re.search(r"\s", str(value))
    )


def _of(row: Row, column: str) -> str:
    """A column's text; "" where it is NULL."""
    return row[column] or ""


def _is(row: Row, column: str) -> bool:
    """A boolean, as PostgreSQL writes it."""
    return row[column] == "t"


def _hosts(host: str) -> tuple[str, ...]:
    """The name that others know it by; a machine's own name for itself is none."""
    mine = _is_socket(host) or host in ("localhost", "127.0.0.1", "::1")
    return () if mine else (host,)
