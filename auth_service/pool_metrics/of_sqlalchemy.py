"""SQLAlchemy's pools, sync and async.

Their events begin when a connection has been obtained: whoever waits, gives up or is cancelled
never fires one. So the pool's class is replaced by a subclass with ``connect``, ``_do_get`` and
``_do_return_conn`` of its own. A subclass, because ``Pool.recreate()``, which ``Engine.dispose()``
uses, knows nothing of a pool but its class and its arguments: whatever it builds is measured by the
same books.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Hashable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, CollectorRegistry
from sqlalchemy import exc
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool, Pool, QueuePool

from .books import BOOKS, DEFAULT_LEAK_AFTER_S, Limits, PoolMetrics
from .exposition import PoolCollector, collector_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry


def instrument(
    engine: Engine | AsyncEngine | Pool,
    name: str = "primary",
    registry: CollectorRegistry = REGISTRY,
    *,
    leak_after_s: float = DEFAULT_LEAK_AFTER_S,
    clock: Callable[[], float] = perf_counter,
) -> PoolMetrics:
    """Measure the pool of a SQLAlchemy engine, and export it through ``registry``.

    Do it before the first checkout: a connection that is out already is not seen until it comes
    back. The pool that ``Engine.dispose()`` puts in place is measured on. A second call with the
    same name and registry returns the same object.

    Raises:
        TypeError: the pool is neither a QueuePool (sync or async) nor a NullPool.
        ValueError: the pool is measured under another name or in another registry already, or the
            name is taken in this registry.
    """
    pool = _pool_of(engine)
    collector = collector_of(registry)
    known: PoolMetrics | None = getattr(pool, BOOKS, None)
    if known is not None:
        return collector.again(known, name)
    if not isinstance(pool, QueuePool | NullPool):
        raise TypeError(
            f"cannot measure a {type(pool).__name__}: it has no queue and no limit; "
            "create the engine with poolclass=QueuePool, AsyncAdaptedQueuePool or NullPool"
        )
    source = _Generations(pool, name, collector)
    metrics = PoolMetrics(
        name,
        source,
        release=source.release,
        timeout_s=pool.timeout() if isinstance(pool, QueuePool) else None,
        leak_after_s=leak_after_s,
        clock=clock,
    )
    collector.add(metrics)
    source.measure(pool, metrics)
    return metrics


def _pool_of(engine: Engine | AsyncEngine | Pool) -> Pool:
    if isinstance(engine, Pool):
        return engine
    # An AsyncEngine is known by its attribute: to import its class would demand greenlet.
    return engine.pool if isinstance(engine, Engine) else engine.sync_engine.pool


def _measured_methods(
    plain: Any, metrics: PoolMetrics, generations: _Generations
) -> dict[str, Any]:
    """The methods of a pool class that keeps books, over those of ``plain``.

    Closures, because looking up ``super()`` three times a checkout costs as much as the books.
    """
    plain_connect, plain_get = plain.connect, plain._do_get
    plain_return, plain_wrap_creator = plain._do_return_conn, plain._should_wrap_creator
    requested, taken, granted = metrics.requested, metrics.taken, metrics.granted
    returned = metrics.returned

    def __init__(pool: Any, *args: Any, **options: Any) -> None:  # noqa: N807
        plain.__init__(pool, *args, **options)
        generations.adopt(pool)

    def connect(pool: Any) -> Any:
        ticket = requested()
        try:
            connection = plain_connect(pool)
        except exc.TimeoutError:
            metrics.timed_out(ticket)
            raise
        except Exception:
            metrics.failed(ticket)
            raise
        except BaseException:
            metrics.cancelled(ticket)
            raise
        granted(ticket, connection._connection_record)
        return connection

    def _do_get(pool: Any) -> ConnectionPoolEntry:
        # QueuePool calls itself here when it loses a race for a slot: this bears repetition.
        record: ConnectionPoolEntry = plain_get(pool)
        taken(record)
        return record

    def _do_return_conn(pool: Any, record: ConnectionPoolEntry) -> None:
        # First the books: once the record is back, its next owner may be faster than we are.
        returned(record)
        plain_return(pool, record)

    def _should_wrap_creator(pool: Any, creator: Any) -> Any:
        create = plain_wrap_creator(pool, creator)

        def create_measured(record: ConnectionPoolEntry) -> Any:
            with metrics.opening():
                return create(record)

        return create_measured

    methods = (__init__, connect, _do_get, _do_return_conn, _should_wrap_creator)
    return {method.__name__: method for method in methods}


class _Generations:
    """One engine's pool, and the pools that ``Engine.dispose()`` left behind.

    A disposed pool lives on while its connections are out, and keeps what comes back to it.
    """

    def __init__(self, pool: Pool, name: str, collector: PoolCollector) -> None:
        self._plain = type(pool)
        self._name = name
        self._collector = collector
        self._alive: weakref.WeakSet[Pool] = weakref.WeakSet()
        self._current = weakref.ref(pool)

    def measure(self, pool: Pool, metrics: PoolMetrics) -> None:
        # The same name and module, because SQLAlchemy names a pool's logger after them.
        namespace = {"__module__": self._plain.__module__, BOOKS: metrics}
        namespace |= _measured_methods(self._plain, metrics, self)
        pool.__class__ = type(self._plain.__name__, (self._plain,), namespace)
        pool._creator = pool._creator_arg  # the setter wraps it, now by the new class
        self.adopt(pool)

    def adopt(self, pool: Pool) -> None:
        self._alive.add(pool)
        self._current = weakref.ref(pool)

    def release(self) -> None:
        self._collector.remove(self._name)
        for pool in list(self._alive):
            pool.__class__ = self._plain
            pool._creator = pool._creator_arg
        self._alive.clear()

    def limits(self) -> Limits | None:
        pool = self._current()
        if pool is None:
            return None
        if not isinstance(pool, QueuePool):
            return Limits(open_max=math.inf, idle_max=0, idle_min=0, wait_max_s=0)
        size: float = pool.size() or math.inf  # SQLAlchemy: 0 means no limit
        open_max = math.inf if pool._max_overflow < 0 else size + pool._max_overflow
        return Limits(
            open_max=open_max, idle_max=size, idle_min=0, wait_max_s=float(pool.timeout())
        )

    def idle(self) -> int:
        return sum(
            record.dbapi_connection is not None
            for pool in list(self._alive)
            if isinstance(pool, QueuePool)
            for record in _queued(pool)
        )

    def is_open(self, key: Hashable) -> bool:
        return getattr(key, "dbapi_connection", None) is not None


def _queued(pool: QueuePool) -> list[ConnectionPoolEntry]:
    """The records in the pool's queue.

    Not ``checkedin()``, their number: a record that was invalidated or detached from waits there
    without a connection.
    """
    queue: Any = pool._pool
    if (mutex := getattr(queue, "mutex", None)) is not None:
        with mutex:
            return list(queue.queue)
    # The asyncio queue is made on its first use, inside the loop.
    made = vars(queue).get("_queue")
    return list(made._queue) if made is not None else []
