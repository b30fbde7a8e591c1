"""PostgreSQL's own view, under postgres_exporter's names."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg

from harness.recorder.exposition import Reading, label_text
from harness.stack.database import connect_timeout_s, with_options
from harness.stack.sessions import RECORDER

# pg_stat_activity's documented states of a client's session. Each is reported for every role that
# was ever seen, so that "none" is a 0 and not a gap.
STATES = (
    "active",
    "idle",
    "idle in transaction",
    "idle in transaction (aborted)",
    "fastpath function call",
    "disabled",
)
CONNECT_TIMEOUT_S = 2  # libpq takes no less
STATEMENT_TIMEOUT_MS = 800

_ACTIVITY = """
    SELECT coalesce(usename, ''), coalesce(state, 'disabled'), count(*),
           count(*) FILTER (WHERE wait_event_type = 'Lock')
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
    GROUP BY 1, 2
"""
_DATABASE = """
    SELECT current_database(), numbackends, xact_commit, xact_rollback,
           current_setting('max_connections')::float,
           current_setting('superuser_reserved_connections')::float,
           coalesce(current_setting('reserved_connections', true), '0')::float
    FROM pg_stat_database WHERE datname = current_database()
"""


class DatabaseSampler:
    """Samples a PostgreSQL server over one connection that it keeps, and renews when it is lost.

    With the stack's monitor role that connection comes out of the reserved ones: it neither takes
    one from the service nor is refused when the service has them all. Without ``keep`` it connects
    anew for every sample, as many monitoring agents do. Not for several threads.

    Connecting may take what the address says (``connect_timeout``), else two seconds.
    """

    def __init__(self, dsn: str, *, keep: bool = True, application_name: str = RECORDER) -> None:
        self._dsn = dsn
        self._keep = keep
        self._application_name = application_name
        self._connect_timeout_s = connect_timeout_s(dsn, CONNECT_TIMEOUT_S)
        self._connection: psycopg.Connection[Any] | None = None
        self._users: set[str] = set()

    def sample(self) -> list[Reading]:
        """The server's present figures. Raises `psycopg.Error`; the next call connects anew."""
        try:
            connection = self._connected()
            activity = connection.execute(_ACTIVITY).fetchall()
            database = connection.execute(_DATABASE).fetchone()
        except psycopg.Error:
            self.close()
            raise
        if not self._keep:
            self.close()
        assert database is not None, "a database sees itself in pg_stat_database"
        name, backends, commits, rollbacks, most, superuser, reserved = database
        here = label_text({"datname": name})
        counts = {(user, state): count for user, state, count, _ in activity}
        self._users.update(user for user, *_ in activity)
        readings: list[Reading] = [
            ("pg_stat_database_numbackends", here, float(backends)),
            ("pg_stat_database_xact_commit", here, float(commits)),
            ("pg_stat_database_xact_rollback", here, float(rollbacks)),
            ("pg_settings_max_connections", "", most),
            ("pg_settings_superuser_reserved_connections", "", superuser),
            ("pg_settings_reserved_connections", "", reserved),
            # Not one of postgres_exporter's: sessions that wait for a lock.
            ("pg_stat_activity_lock_waiters", here, float(sum(row[3] for row in activity))),
        ]
        for user in sorted(self._users):
            for state in STATES:
                labels = label_text({"datname": name, "usename": user, "state": state})
                count = float(counts.get((user, state), 0))
                readings.append(("pg_stat_activity_count", labels, count))
        return readings

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                application_name=self._application_name,
                connect_timeout=self._connect_timeout_s,
                options=with_options(self._dsn, f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"),
            )
        return self._connection
