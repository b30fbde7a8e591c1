"""PgBouncer's own view of its pools, under pgbouncer_exporter's names."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
from psycopg.rows import dict_row

from harness.recorder.exposition import Reading, label_text

CONNECT_TIMEOUT_S = 2
CONSOLE = "pgbouncer"
METRICS = {
    "cl_active": "pgbouncer_pools_client_active_connections",
    "cl_waiting": "pgbouncer_pools_client_waiting_connections",
    "sv_active": "pgbouncer_pools_server_active_connections",
    "sv_idle": "pgbouncer_pools_server_idle_connections",
    "sv_used": "pgbouncer_pools_server_used_connections",
}
"""By the column of ``SHOW POOLS``."""

SETTINGS = {
    "max_client_conn": "pgbouncer_config_max_client_connections",
    "max_user_connections": "pgbouncer_config_max_user_connections",
}
"""By the key of ``SHOW CONFIG``."""

MAXWAIT = "pgbouncer_pools_client_maxwait_seconds"


class PgbouncerSampler:
    """Asks PgBouncer's console over one connection that it keeps; renewed when it is lost.

    The console has a place even when PgBouncer turns away clients. Not for several threads.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def sample(self) -> list[Reading]:
        """Its limits, and every pool's present figures; no pool before its first client.

        Raises `psycopg.Error`; the next call connects anew.
        """
        try:
            pools = self._connected().execute("SHOW POOLS").fetchall()
            settings = self._connected().execute("SHOW CONFIG").fetchall()
        except psycopg.Error:
            self.close()
            raise
        readings: list[Reading] = [
            (SETTINGS[setting["key"]], "", float(setting["value"]))
            for setting in settings
            if setting["key"] in SETTINGS
        ]
        for pool in pools:
            if pool["database"] == CONSOLE:
                continue
            here = label_text({"database": pool["database"], "user": pool["user"]})
            readings += [(name, here, float(pool[column])) for column, name in METRICS.items()]
            # Whole seconds and the rest; pgbouncer_exporter shows the first alone.
            waited_s = float(pool["maxwait"]) + float(pool["maxwait_us"]) / 1e6
            readings.append((MAXWAIT, here, waited_s))
        return readings

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection[dict[str, Any]]:
        if self._connection is None:
            # The console knows neither transactions nor prepared statements.
            self._connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                prepare_threshold=None,
                row_factory=dict_row,
                connect_timeout=CONNECT_TIMEOUT_S,
            )
        return self._connection
