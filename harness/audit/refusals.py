"""Why a database does not let the audit in, from its SQLSTATE; in words of ours.

What the server or libpq said is never repeated: it may hold a part of a DSN. Codes:
https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

from harness.audit.server_session import Refused
from harness.errors import DatabaseRefusedError, PooldrillError, UsageError

FULL, PASSWORD, NOBODY, NO_DATABASE = "53300", "28P01", "28000", "3D000"
PROTOCOL = "08P01"
"""A PgBouncer's, for nearly everything before 1.21; its words are English everywhere."""

_IN_WORDS = (
    ("0A000", r"statement pooling"),
    (FULL, r"too many clients|remaining connection slots|too many connections for|"
           r"no more connections allowed"),
    (PASSWORD, r"authentication failed|no password supplied|password retrieved from file"),
    (NOBODY, r"pg_hba\.conf|role .* does not exist|no such user|not allowed|not permitted to log"),
    (NO_DATABASE, r"database .* does not exist|no such database"),
    ("57P03", r"the database system is"),
    ("57014", r"query_wait_timeout|canceling statement"),
    ("08004", r"startup parameter"),
    ("08001", r"cannot connect to server|server login (has been failing|failed)"),
)  # fmt: skip
"""What stands in for a code where there is none: of servers that speak English."""

_CHECK_LOGIN = "Check user, database and password (PGPASSFILE keeps it off the command line)."
_COME_IN = (
    "Give the audit a role with pg_use_reserved_connections (PostgreSQL 16 or newer, with "
    "reserved_connections above 0), or a superuser's; and audit the files."
)
_OF_STATES: Mapping[str, tuple[type[PooldrillError], str, str]] = {
    FULL: (
        DatabaseRefusedError,
        "is full and refused the audit (SQLSTATE 53300): no connection is left, in all or within "
        "a limit of the role or the database",
        _COME_IN,
    ),
    PASSWORD: (UsageError, "does not take this user with this password", _CHECK_LOGIN),
    NOBODY: (
        UsageError,
        "does not let the audit in: there is no such role, it may not log in, or pg_hba.conf has "
        "no line for it, for where it comes from, or for a connection without TLS",
        "Check user and database, and sslmode.",
    ),
    NO_DATABASE: (UsageError, "has no such database", _CHECK_LOGIN),
    "42501": (
        UsageError,
        "does not let the audit's role connect to that database, or read its catalogue",
        "GRANT CONNECT on the database, and pg_monitor, to the role.",
    ),
    "55000": (
        UsageError,
        "takes no connections to that database",
        "Name another database of the server, such as postgres.",
    ),
    "57P03": (
        DatabaseRefusedError,
        "takes no connections now: it is starting up, shutting down or recovering",
        "Audit it when it is up.",
    ),
    "57P01": (
        DatabaseRefusedError,
        "ended the audit's session: it is shutting down, or somebody ended it",
        "Audit it when it is up.",
    ),
    "08001": (
        DatabaseRefusedError,
        "is a PgBouncer that does not get into the server behind it",
        "Give the server's own address, and audit PgBouncer by its console.",
    ),
    "08004": (
        UsageError,
        "does not take a setting that the DSN or the environment gives a session",
        "Leave options and PGOPTIONS out: a PgBouncer takes few.",
    ),
    "0A000": (
        UsageError,
        "was asked for what it does not have: its PgBouncer has statements for transactions, or "
        "it is no PostgreSQL",
        "Give the server's own address.",
    ),
}
"""What is said of each, and what to do."""

_OF_LIBPQ: tuple[tuple[str, type[PooldrillError], str, str], ...] = (
    (
        r"bad value for|invalid [\w\s]+ value|invalid port number|invalid integer value|"
        r"service file|definition of service|(certificate|key) file .* (does not exist|has )|"
        r"sslrootcert|could not (load|read) .*(certificate|key)",
        UsageError,
        "cannot be asked: an option, a port, a service or a file of the DSN cannot be used",
        "psql with the same DSN says which.",
    ),
    (
        r"target_session_attrs|session is (not )?read-only|server is (not )?in hot standby",
        DatabaseRefusedError,
        "is not what target_session_attrs asks for",
        "Leave target_session_attrs out: primary and standby can both be audited.",
    ),
    (
        r"could not translate host name|failed to resolve host",
        DatabaseRefusedError,
        "cannot be reached: its name leads nowhere from here",
        "Check the host's name, and whether this machine can look it up.",
    ),
    (
        r"Connection refused|No such file or directory",
        DatabaseRefusedError,
        "cannot be reached: nothing listens there",
        "Check host and port, and whether the server runs.",
    ),
    (
        r"unreachable|No route to host|Permission denied|not permitted",
        DatabaseRefusedError,
        "cannot be reached: the network or the socket's folder does not let this machine through",
        "Check host, port and firewalls.",
    ),
    (
        r"timeout|timed out",
        DatabaseRefusedError,
        "cannot be reached: it did not answer in time",
        "Check host and port, and whether the server is overloaded.",
    ),
    (
        r"expected authentication request|closed the connection|invalid response|"
        r"received unencrypted|Connection reset|protocol",
        DatabaseRefusedError,
        "does not answer as PostgreSQL does, or hung up",
        "Check whether this is the port of a PostgreSQL or a PgBouncer.",
    ),
    (
        r"SSL|TLS|certificate",
        DatabaseRefusedError,
        "cannot be reached over TLS as sslmode asks for: it has none, or its certificate is not "
        "trusted or not of that name",
        "Check sslmode and sslrootcert.",
    ),
)
"""libpq's words for what never came to a server that could refuse; they are English."""


def refuse(refused: Refused, where: str) -> NoReturn:
    """Say why there is no audit, and what to do. It is never as if there was nothing to say.

    Raises `UsageError` for what the DSN can mend, `DatabaseRefusedError` for the rest.
    """
    raise _why(refused, where) from None


def _why(refused: Refused, where: str) -> PooldrillError:
    # Without names, of which one might be called "ssl".
    state, text = refused.state, re.sub(r'"[^"]*"', '""', refused.text)
    if state in ("", PROTOCOL):
        state = _in_words(text) or state
    if state[:3] == "57P" and state not in _OF_STATES:
        state = "57P01"
    if state == "57014":
        return late(where)
    if state in _OF_STATES:
        kind, what, remedy = _OF_STATES[state]
        return kind(f"{where} {what}", remedy=remedy)
    if state:
        return DatabaseRefusedError(
            f"{where} refused the audit (SQLSTATE {state})",
            remedy="PostgreSQL's list of error codes says what that is; its log says more.",
        )
    for words, kind, what, remedy in _OF_LIBPQ:
        if re.search(words, text, re.IGNORECASE):
            return kind(f"{where} {what}", remedy=remedy)
    return DatabaseRefusedError(
        f"{where} cannot be reached, or refused the audit",
        remedy="Check host and port; psql with the same DSN says more.",
    )


def late(where: str, *, got_in: bool = True) -> DatabaseRefusedError:
    """That nobody answered in time: the audit was in (``got_in``) or still outside."""
    if got_in:
        return DatabaseRefusedError(
            f"{where} let the audit in and did not answer in time",
            remedy="It is overloaded, or a pooler before it has no connection free: give the "
            "server's own address, and look again.",
        )
    return DatabaseRefusedError(
        f"{where} did not answer in time",
        remedy="Check host and port, and whether the server is overloaded.",
    )


def _in_words(text: str) -> str:
    for state, words in _IN_WORDS:
        if re.search(words, text, re.IGNORECASE):
            return state
    return ""
