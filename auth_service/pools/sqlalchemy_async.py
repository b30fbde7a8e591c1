"""SQLAlchemy's asyncio engine, with its pool or with none."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from auth_service.pool_metrics import instrument
from auth_service.pools.base import NO_PARAMS, Connection, Lending, Statements, Target
from auth_service.pools.sqlalchemy_errors import database_errors, statement


class SqlalchemyAsyncPool(Lending):
    """An AsyncEngine. ``options`` go to ``create_async_engine``: its pool's class and arguments."""

    def __init__(
        self, target: Target, *, name: str, registry: CollectorRegistry, **options: Any
    ) -> None:
        super().__init__()
        self._engine = create_async_engine(
            "postgresql+psycopg://",
            connect_args=dict(target.arguments),
            isolation_level="AUTOCOMMIT",
            **options,
        )
        self.metrics = instrument(self._engine, name, registry)

    async def open(self) -> None:
        """Nothing to do: the engine connects when it is first asked to."""

    async def close(self) -> None:
        await self._engine.dispose()

    async def _checkout(self) -> Connection:
        began = perf_counter()
        with database_errors(self.metrics.name):
            try:
                return _Connection(await self._engine.connect(), self.metrics.name)
            except exc.TimeoutError as error:
                raise self._exhausted(began) from error

    async def _checkin(self, connection: _Connection) -> None:
        # __aexit__ rather than close(): it goes through with it when the caller is cancelled.
        with database_errors(self.metrics.name):
            await connection.driver.__aexit__(None, None, None)


class _Connection(Statements):
    """One AsyncConnection."""

    def __init__(self, driver: AsyncConnection, pool_name: str) -> None:
        self.driver = driver
        self._pool_name = pool_name

    async def fetch_one(
        self, sql: str, params: Mapping[str, object] = NO_PARAMS
    ) -> tuple[Any, ...] | None:
        with database_errors(self._pool_name):
            row = (await self.driver.execute(statement(sql), params)).first()
        return None if row is None else tuple(row)

    async def execute(self, sql: str, params: Mapping[str, object] = NO_PARAMS) -> int:
        with database_errors(self._pool_name):
            return (await self.driver.execute(statement(sql), params)).rowcount

    async def _abandon(self) -> None:
        await self.driver.invalidate()
