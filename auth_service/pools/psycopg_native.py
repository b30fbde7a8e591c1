"""psycopg's own asyncio pool."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from time import perf_counter
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests
from sqlalchemy import Dialect, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from auth_service.pool_metrics.of_psycopg import instrument_psycopg_pool
from auth_service.pools.base import (
    NO_PARAMS,
    Connection,
    DatabaseUnavailable,
    Lending,
    PoolError,
    Statements,
    Target,
)
from auth_service.settings import PoolSettings

_DIALECT: Dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]


class PsycopgPool(Lending):
    """An AsyncConnectionPool, whose connections run in autocommit."""

    def __init__(
        self, target: Target, settings: PoolSettings, *, registry: CollectorRegistry
    ) -> None:
        super().__init__()
        most = settings.size + settings.max_overflow
        least = min(settings.size, most) if settings.min_size is None else settings.min_size
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]] = (
            AsyncConnectionPool(
                kwargs={**target.arguments, "autocommit": True},
                open=False,
                name=settings.name,
                min_size=least,
                max_size=most,
                timeout=settings.timeout_s,
                max_waiting=settings.max_waiting,
                # The pool knows no "never".
                max_lifetime=settings.recycle_s if settings.recycle_s >= 0 else math.inf,
                check=AsyncConnectionPool.check_connection if settings.pre_ping else None,
            )
        )
        self.metrics = instrument_psycopg_pool(self._pool, settings.name, registry)

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    async def _checkout(self) -> Connection:
        began = perf_counter()
        try:
            return _Connection(await self._pool.getconn(), self.metrics.name)
        except (PoolTimeout, TooManyRequests) as error:
            raise self._no_connection(began) from error
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(f"pool {self.metrics.name!r}: {error}") from error

    def _no_connection(self, began: float) -> PoolError:
        # Its workers connect in the background, so that a database which cannot be reached looks
        # to a waiter like a pool that is too small.
        error = self._exhausted(began)
        why = self.metrics.last_create_error
        if why is not None and error.used < error.limit:
            return DatabaseUnavailable(f"{error}; no connection could be opened: {why}")
        return error

    async def _checkin(self, connection: _Connection) -> None:
        # Returning waits for a lock: a cancellation there would lose the connection for good.
        await asyncio.shield(self._put(connection))

    async def _put(self, connection: _Connection) -> None:
        with _database_errors(self.metrics.name, connection.driver):
            await self._pool.putconn(connection.driver)


class _Connection(Statements):
    """One psycopg connection."""

    def __init__(self, driver: psycopg.AsyncConnection[tuple[Any, ...]], pool_name: str) -> None:
        self.driver = driver
        self._pool_name = pool_name

    async def fetch_one(
        self, sql: str, params: Mapping[str, object] = NO_PARAMS
    ) -> tuple[Any, ...] | None:
        with _database_errors(self._pool_name, self.driver):
            cursor = await self.driver.execute(_in_psycopgs_style(sql), params)
            return await cursor.fetchone()

    async def execute(self, sql: str, params: Mapping[str, object] = NO_PARAMS) -> int:
        with _database_errors(self._pool_name, self.driver):
            return (await self.driver.execute(_in_psycopgs_style(sql), params)).rowcount

    async def _abandon(self) -> None:
        await self.driver.close()


@cache
def _in_psycopgs_style(sql: str) -> bytes:
    """``:name`` as ``%(name)s``, by the translator that the other pools use."""
    return str(text(sql).compile(dialect=_DIALECT)).encode()


@contextmanager
def _database_errors(name: str, driver: psycopg.AsyncConnection[tuple[Any, ...]]) -> Iterator[None]:
    """Turn what is the database's fault into DatabaseUnavailable; a wrong statement stays as is.

    Whatever the class of its error, a statement that ended its connection was not at fault: the
    timeouts for transactions are to psycopg what a misplaced COMMIT is, an InternalError.
    """
    try:
        yield
    except psycopg.Error as error:
        blames_it = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        if blames_it or driver.closed:
            raise DatabaseUnavailable(f"pool {name!r}: {error}") from error
        raise
