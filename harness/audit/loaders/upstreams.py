"""What proxies say of where they send things: hosts, and whether a database is behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ADDRESS = re.compile(
    r"(?:\w+://)?(?:ipv[46]@)?(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::(\d+))?(?:/.*)?"
)
_DATABASE_PORTS = frozenset({5432, 5433, 6432})
"""PostgreSQL's, the second server's on one machine, and PgBouncer's."""

_DATABASE_NAME = re.compile(
    r"postgres|pgsql|pgbouncer|pgpool|patroni|(^|[-_.])(pg|db|database)\d*([-_.]|$)"
)


def address(text: str) -> tuple[str, int | None] | None:
    """Host and port of ``scheme://host:port/path``, or of less; None where no host is to be seen.

    A variable, a placeholder and a Unix socket name no host.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or text.startswith("unix"):
        return None
    return found[1] or found[2], int(found[3]) if found[3] else None


def port_of(text: str) -> int | None:
    """The port of an address to listen on: ``5432``, ``*:5432``, ``127.0.0.1:5432``."""
    found = re.fullmatch(r"(?:.*:)?(\d{1,5})", text)
    return int(found[1]) if found else None


def leads_to_a_database(names: Iterable[str], ports: Iterable[int | None]) -> bool:
    """Whether a proxy of bytes is one before PostgreSQL, by its ports, else by its names."""
    known = {port for port in ports if port is not None}
    if known:
        return bool(known & _DATABASE_PORTS)
    return any(_DATABASE_NAME.search(name.lower()) for name in names)
