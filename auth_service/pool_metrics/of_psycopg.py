"""psycopg_pool's asyncio pool.

It keeps statistics of its own, but times uses only in ``connection()`` and to whole milliseconds,
and knows neither create times by bucket nor cancellations.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from .books import BOOKS, DEFAULT_LEAK_AFTER_S, Limits, PoolMetrics
from .exposition import PoolCollector, collector_of


def instrument_psycopg_pool(
    pool: AsyncConnectionPool[Any],
    name: str = "primary",
    registry: CollectorRegistry = REGISTRY,
    *,
    leak_after_s: float = DEFAULT_LEAK_AFTER_S,
    clock: Callable[[], float] = perf_counter,
) -> PoolMetrics:
    """Measure a psycopg_pool.AsyncConnectionPool, and export it through ``registry``.

    Do it before ``open()``: the first connections are opened there. A second call with the same
    name and registry returns the same object.

    Raises:
        TypeError: another kind of pool.
        ValueError: as for ``instrument``.
    """
    if not isinstance(pool, AsyncConnectionPool):
        raise TypeError(f"cannot measure a {type(pool).__name__}, only an AsyncConnectionPool")
    collector = collector_of(registry)
    known: PoolMetrics | None = getattr(pool, BOOKS, None)
    if known is not None:
        return collector.again(known, name)
    source = _PsycopgPool(pool, name, collector)
    metrics = PoolMetrics(
        name,
        source,
        release=source.release,
        timeout_s=pool.timeout,
        leak_after_s=leak_after_s,
        clock=clock,
    )
    collector.add(metrics)
    source.measure(pool, metrics)
    return metrics


class _PsycopgPool:
    """What the books ask of the pool."""

    def __init__(self, pool: AsyncConnectionPool[Any], name: str, collector: PoolCollector) -> None:
        self._plain = type(pool)
        self._name = name
        self._collector = collector
        self._pool = weakref.ref(pool)

    def measure(self, pool: AsyncConnectionPool[Any], metrics: PoolMetrics) -> None:
        namespace = {BOOKS: metrics, **_measured_methods(self._plain, metrics)}
        pool.__class__ = type(self._plain.__name__, (self._plain,), namespace)

    def release(self) -> None:
        self._collector.remove(self._name)
        if (pool := self._pool()) is not None:
            pool.__class__ = self._plain

    def limits(self) -> Limits | None:
        pool = self._pool()
        if pool is None:
            return None
        return Limits(
            open_max=pool.max_size,
            idle_max=pool.max_size,
            idle_min=pool.min_size,
            wait_max_s=pool.timeout,
        )

    def idle(self) -> int:
        pool = self._pool()
        return pool.get_stats()["pool_available"] if pool is not None else 0

    def is_open(self, key: Hashable) -> bool:
        connection = key() if isinstance(key, weakref.ref) else None
        return connection is not None and not connection.closed


def _measured_methods(plain: Any, metrics: PoolMetrics) -> dict[str, Any]:
    """The methods of a pool class that keeps books, over those of ``plain``."""

    def key_of(connection: Any) -> Hashable:
        # Weak, because the pool too forgets whom it gave a connection: one that is dropped without
        # being returned is closed by the garbage collector, and its place in the pool is lost.
        return weakref.ref(connection, metrics.lost)

    async def getconn(pool: Any, *args: Any, **options: Any) -> Any:
        ticket = metrics.requested()
        try:
            connection = await plain.getconn(pool, *args, **options)
        except PoolTimeout:
            metrics.timed_out(ticket)
            raise
        except TooManyRequests:
            metrics.refused(ticket)
            raise
        except Exception:
            metrics.failed(ticket)
            raise
        except BaseException:
            metrics.cancelled(ticket)
            raise
        metrics.granted(ticket, key_of(connection))
        return connection

    async def putconn(pool: Any, connection: Any) -> None:
        metrics.returned(key_of(connection))
        await plain.putconn(pool, connection)

    async def _check_connection(pool: Any, connection: Any) -> None:
        key = key_of(connection)
        metrics.taken(key)
        try:
            await plain._check_connection(pool, connection)
        except BaseException:
            metrics.returned(key)
            raise

    async def _connect(pool: Any, *args: Any, **options: Any) -> Any:
        with metrics.opening():
            return await plain._connect(pool, *args, **options)

    methods = (getconn, putconn, _check_connection, _connect)
    return {method.__name__: method for method in methods}
