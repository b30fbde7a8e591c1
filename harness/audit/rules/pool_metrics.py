"""Names of metrics: which of them are a pool's, and what they count.

OpenTelemetry's (``db_client_connection_…``), HikariCP's through Micrometer (``hikaricp_…``), and
those that exporters of SQLAlchemy's and psycopg's pools use.
"""

from __future__ import annotations

import re

_POOLS = re.compile(
    r"db_client_connection|hikari|jdbc|c3p0|dbcp|pool\w*connection"
    r"|(sql|db|database|psycopg|asyncpg|postgres|connection)\w*pool"
)
_OTHERS = re.compile(r"http|redis|thread|pgbouncer|grpc|pg_stat|mongo|kafka")
_NO_GAUGE = re.compile(r"(_total|_seconds|_ms|_bucket|_sum|_created|time|_max_\w+)$|timeout")
_PENDING = re.compile(r"pending|waiting|waiters|queued|awaiting")
_USED = re.compile(r"active|_used|in_use|busy|checked_?out|borrowed")
_LIMIT = re.compile(r"(max|limit|capacity|maximum)(_connections|_size)?$|max_(size|connections)")
_BEFORE_TIMEOUTS = re.compile(
    r"pending|wait|acquire|queued|usage|active|used|in_use|checked_?out|count"
    r"|utili[sz]ation|saturation"
)
_OF_CONNECTIONS = re.compile(r"connection|pool|hikari|pgbouncer|jdbc")
_FAILED = re.compile(r"timeout|error|fail|exhausted|rejected|refused|leak|not_returned|create")


def is_pending(name: str) -> bool:
    """Whether it is a gauge of requests that wait for a connection of a pool."""
    return _is_a_gauge(name) and _PENDING.search(name) is not None


def is_used(name: str, state: str = "") -> bool:
    """Whether it is a gauge of a pool's connections in use; ``state`` is that label's value."""
    if name in ("db_client_connection_count", "db_client_connections_usage"):
        return state == "used"
    return _is_a_gauge(name) and _USED.search(name) is not None


def is_limit(name: str) -> bool:
    """Whether it is the most connections that a pool may hold."""
    return bool(_POOLS.search(name)) and not _OTHERS.search(name) and bool(_LIMIT.search(name))


def leads(name: str) -> bool:
    """Whether it moves before the first request times out: a queue, a wait, a pool's use."""
    return (
        _OF_CONNECTIONS.search(name) is not None
        and _BEFORE_TIMEOUTS.search(name) is not None
        and _FAILED.search(name) is None
    )


def _is_a_gauge(name: str) -> bool:
    return (
        _POOLS.search(name) is not None
        and _OTHERS.search(name) is None
        and _NO_GAUGE.search(name) is None
    )
