"""SQLAlchemy's sync engine behind a limited number of threads.

So works a framework that runs plain functions in threads: a handler holds its thread while it
waits for the pool. A request that waits for a thread has not reached the pool yet, and none of the
pool's metrics knows of it: that hidden queue is ``auth_threads_waiting``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import Connection as SqlalchemyConnection
from sqlalchemy import create_engine, exc

from auth_service.pool_metrics import POOL_NAME, instrument
from auth_service.pools.base import NO_PARAMS, Connection, Lending, Statements, Target
from auth_service.pools.sqlalchemy_errors import database_errors, statement

Result = TypeVar("Result")


class SqlalchemySyncPool(Lending):
    """An Engine with a QueuePool. ``options`` go to ``create_engine``: the pool's arguments."""

    def __init__(
        self,
        target: Target,
        *,
        name: str,
        threads: int,
        registry: CollectorRegistry,
        **options: Any,
    ) -> None:
        super().__init__()
        self._engine = create_engine(
            "postgresql+psycopg://",
            connect_args=dict(target.arguments),
            isolation_level="AUTOCOMMIT",
            **options,
        )
        self.metrics = instrument(self._engine, name, registry)
        self._threads = _Threads(threads, name, registry)

    async def open(self) -> None:
        """Nothing to do: the engine connects when it is first asked to."""

    async def close(self) -> None:
        await anyio.to_thread.run_sync(self._engine.dispose)

    async def _checkout(self) -> Connection:
        thread = await self._threads.take()
        try:
            driver = await thread.run(self._connect)
        except BaseException as error:
            # After a cancellation the thread may still come by a connection.
            given_back = thread.give_back(lambda late: late.close() if late is not None else None)
            if isinstance(error, Exception):
                await asyncio.shield(given_back)
            raise
        return _Connection(driver, thread, self.metrics.name)

    def _connect(self) -> SqlalchemyConnection:
        began = perf_counter()
        with database_errors(self.metrics.name):
            try:
                return self._engine.connect()
            except exc.TimeoutError as error:
                raise self._exhausted(began) from error

    async def _checkin(self, connection: _Connection) -> None:
        await asyncio.shield(connection.thread.give_back(lambda _: connection.driver.close()))


class _Connection(Statements):
    """One sync connection, and the thread that is held for it."""

    def __init__(self, driver: SqlalchemyConnection, thread: _Thread, pool_name: str) -> None:
        self.driver = driver
        self.thread = thread
        self._pool_name = pool_name

    async def fetch_one(
        self, sql: str, params: Mapping[str, object] = NO_PARAMS
    ) -> tuple[Any, ...] | None:
        def fetch() -> tuple[Any, ...] | None:
            with database_errors(self._pool_name):
                row = self.driver.execute(statement(sql), params).first()
            return None if row is None else tuple(row)

        return await self.thread.run(fetch)

    async def execute(self, sql: str, params: Mapping[str, object] = NO_PARAMS) -> int:
        def run() -> int:
            with database_errors(self._pool_name):
                return self.driver.execute(statement(sql), params).rowcount

        return await self.thread.run(run)

    async def _abandon(self) -> None:
        await self.thread.run(self.driver.invalidate)


class _Threads:
    """The threads of the framework: so many places, and a queue before them."""

    def __init__(self, limit: int, pool_name: str, registry: CollectorRegistry) -> None:
        self.places = anyio.CapacityLimiter(limit)
        # Runs what the holders of the places want run. Never full: each has one wish at a time.
        self.workers = anyio.CapacityLimiter(limit)
        # The loop itself remembers tasks only weakly.
        self.giving_back: set[asyncio.Task[None]] = set()
        for name, text, value in (
            (
                "auth_threads_waiting",
                "Requests that wait for a thread, before they reach the pool.",
                lambda: self.places.statistics().tasks_waiting,
            ),
            ("auth_threads_max", "The threads that may hold or await a connection.", lambda: limit),
        ):
            gauge = Gauge(name, text, [POOL_NAME], registry=registry)
            gauge.labels(pool_name).set_function(value)

    async def take(self) -> _Thread:
        thread = _Thread(self)
        await self.places.acquire_on_behalf_of(thread)
        return thread


class _Thread:
    """One place among the threads. A function that runs in it cannot be interrupted."""

    def __init__(self, threads: _Threads) -> None:
        self._threads = threads
        self._running: asyncio.Future[Any] | None = None

    async def run(self, function: Callable[[], Result]) -> Result:
        """Run it; a cancellation leaves it running, and the place taken."""
        running = asyncio.ensure_future(
            anyio.to_thread.run_sync(function, limiter=self._threads.workers)
        )
        self._running = running
        return await asyncio.shield(running)

    def give_back(self, finish: Callable[[Any], None]) -> asyncio.Task[None]:
        """Await what still runs, call ``finish`` with its result in the thread, free the place."""
        task = asyncio.create_task(self._give_back(finish))
        self._threads.giving_back.add(task)
        task.add_done_callback(self._threads.giving_back.discard)
        return task

    async def _give_back(self, finish: Callable[[Any], None]) -> None:
        late = None
        try:
            if self._running is not None:
                # An error was told to whoever awaited run(), or nobody is left to be told.
                with suppress(Exception):
                    late = await self._running
            await anyio.to_thread.run_sync(finish, late, limiter=self._threads.workers)
        finally:
            self._threads.places.release_on_behalf_of(self)
