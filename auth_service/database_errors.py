"""Why the database could not be used, in one word to count by; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

Reason = Literal[
    "too_many_connections",
    "unreachable",
    "connection_lost",
    "statement_timeout",
    "lock_timeout",
    "query_wait_timeout",
    "other",
]
"""The kinds that ask for different remedies."""

REASONS: tuple[Reason, ...] = get_args(Reason)

# PostgreSQL's documentation, appendix A. What is missing here is told by its message: above all
# 08P01, under which PgBouncer says nearly everything (its proto.c, send_pooler_error).
_BY_SQLSTATE: Mapping[str, Reason] = {
    "53300": "too_many_connections",
    "57P03": "unreachable",  # starting up, recovering or shutting down
    "08003": "connection_lost",
    "08006": "connection_lost",
    "25P03": "connection_lost",  # idle_in_transaction_session_timeout
    "25P04": "connection_lost",  # transaction_timeout
    "57P01": "connection_lost",  # admin_shutdown: pg_terminate_backend, a fast shutdown
    "57P02": "connection_lost",  # crash_shutdown
    "57P05": "connection_lost",  # idle_session_timeout
    "57014": "statement_timeout",  # query_canceled: pg_cancel_backend has no code of its own
    "55P03": "lock_timeout",
}

# Of several fragments in one message the first counts: a refused connect may end in a question
# about the server, and PgBouncer repeats PostgreSQL's words within its own.
_BY_MESSAGE: tuple[tuple[Reason, tuple[str, ...]], ...] = (
    (
        "too_many_connections",
        (
            "too many clients already",
            "remaining connection slots are reserved",
            "too many connections for",  # a role's or a database's own limit
            "no more connections allowed",  # PgBouncer: max_client_conn
            "client connections exceeded",  # PgBouncer: max_db_, max_user_client_connections
        ),
    ),
    ("query_wait_timeout", ("query_wait_timeout",)),
    ("statement_timeout", ("due to statement timeout", "query timeout", "query_timeout")),
    ("lock_timeout", ("due to lock timeout",)),
    (
        "unreachable",
        (
            "connection refused",
            "no route to host",
            "network is unreachable",
            "failed to resolve host",
            "could not translate host name",
            "the database system is",  # starting up, shutting down, in recovery mode
            "server login has been failing",  # PgBouncer cannot reach PostgreSQL
            "client_login_timeout",  # PgBouncer, for the same reason
        ),
    ),
    (
        "connection_lost",
        (
            "server closed the connection",
            "terminating connection",
            "connection reset",
            "broken pipe",
            "eof detected",
            "connection is closed",
            "connection is lost",
            "connection has been closed",
            "could not receive data from server",
            "could not send data to server",
            "server conn crashed",  # PgBouncer lost PostgreSQL
            "shutting down",  # PgBouncer ends
            "admin forced disconnect",
            "client_idle_timeout",
            "idle transaction timeout",
        ),
    ),
    # Behind what is lost: a connection that was open can time out as well.
    ("unreachable", ("timeout expired", "connection timed out")),
)


def reason_of(error: BaseException) -> Reason:
    """What ``error``, or what it was raised from, says of the database.

    The SQLSTATE decides where there is one. Failures to connect carry none: libpq hands over the
    server's words and keeps its code to itself. Then the message of ``error`` decides, and not
    those behind it: SQLAlchemy's have the parameters in them, which users choose.
    """
    for each in _chain(error):
        reason = _BY_SQLSTATE.get(getattr(each, "sqlstate", None) or "")
        if reason is not None:
            return reason
    message = str(error).lower()
    for reason, fragments in _BY_MESSAGE:
        if any(fragment in message for fragment in fragments):
            return reason
    return "other"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """``error``, then what it wraps (SQLAlchemy's ``orig``) or was raised from."""
    passed: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in passed:
        passed.add(id(each))
        yield each
        each = getattr(each, "orig", None) or each.__cause__
