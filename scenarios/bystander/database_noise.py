"""A batch job that keeps a processor of the database busy, over one connection of its own."""

from __future__ import annotations

import asyncio
import logging
import time

import psycopg
from prometheus_client import CollectorRegistry, Counter

from scenarios.bystander.pace import ticks

APPLICATION_NAME = "nightly-report"

# In the select list the rows are made one at a time. In FROM they would first be stored, beyond
# work_mem on disk, and the job would be a matter of the disk as well. No table: no lock either.
QUERY = "SELECT sum(sqrt(n)) FROM (SELECT generate_series(1, %s::integer) AS n) AS report"

QUERY_S = 0.03
"""How long a query is to take; its number of rows follows, because machines differ."""

FIRST_ROWS, FEWEST_ROWS, MOST_ROWS = 100_000, 10_000, 5_000_000
CONNECT_TIMEOUT_S = 5
RECONNECT_AFTER_S = 1.0
REPORT_EVERY_S = 3.0

logger = logging.getLogger(__name__)


class DatabaseNoise:
    """Runs read-only queries for ``share`` of the time, each a statement outside transactions.

    The pause after a query that took q is q · (1 - share) / share.
    """

    def __init__(self, database_url: str, share: float, *, registry: CollectorRegistry) -> None:
        self._database_url = database_url
        self._pause_ratio = (1 - share) / share
        self._queries = Counter("bystander_queries", "Queries answered.", registry=registry)
        self._query_seconds = Counter(
            "bystander_query_seconds", "Time that these queries took.", registry=registry
        )
        self._reported_queries, self._reported_s = 0, 0.0

    async def run(self) -> None:
        """Query until cancelled; connect again whenever the connection is lost."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report())
            while True:
                try:
                    await self._work()
                except psycopg.Error as error:
                    logger.warning(
                        "no report at present, next try in %g s: %s", RECONNECT_AFTER_S, error
                    )
                await asyncio.sleep(RECONNECT_AFTER_S)

    async def _work(self) -> None:
        """Query over one connection for as long as it lasts."""
        rows = FIRST_ROWS
        async with await psycopg.AsyncConnection.connect(
            self._database_url,
            autocommit=True,
            prepare_threshold=None,
            application_name=APPLICATION_NAME,
            connect_timeout=CONNECT_TIMEOUT_S,
        ) as connection:
            while True:
                began = time.perf_counter()
                await connection.execute(QUERY, (rows,))
                took_s = time.perf_counter() - began
                self._queries.inc()
                self._query_seconds.inc(took_s)
                self._reported_queries += 1
                self._reported_s += took_s
                rows = next_rows(rows, took_s)
                await asyncio.sleep(took_s * self._pause_ratio)

    async def _report(self) -> None:
        async for _ in ticks(1 / REPORT_EVERY_S):
            logger.info(
                "report in progress",
                extra={
                    "queries": self._reported_queries,
                    "query_seconds": round(self._reported_s, 3),
                },
            )
            self._reported_queries, self._reported_s = 0, 0.0


def next_rows(rows: int, took_s: float) -> int:
    """How many rows the next query has, so that it takes `QUERY_S`, after one that took this.

    At most a factor of two at a time: one query that had to wait says little about the next.
    """
    factor = min(2.0, max(0.5, QUERY_S / took_s))
    return min(MOST_ROWS, max(FEWEST_ROWS, round(rows * factor)))
