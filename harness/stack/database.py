"""What the stack knows of a database: of our own (`postgres`), or of the user's (`external`)."""

from __future__ import annotations

from typing import Protocol

from psycopg.conninfo import conninfo_to_dict

from harness.stack.process import Supervised

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
    def child(self) -> Supervised | None:
        """The server's process or container, when it is ours."""
        ...

    def stop(self, within_s: float = STOP_S) -> None:
        """End it, or leave it as it was found. May be called again."""
        ...


def connect_timeout_s(dsn: str, usual_s: int) -> int:
    """How long connecting to ``dsn`` may take: what it says itself, else ``usual_s``."""
    return int(conninfo_to_dict(dsn).get("connect_timeout") or usual_s)


def with_options(dsn: str, options: str) -> str:
    """``options`` behind those that ``dsn`` has itself, for ``psycopg.connect(options=…)``."""
    return f"{conninfo_to_dict(dsn).get('options') or ''} {options}".strip()
