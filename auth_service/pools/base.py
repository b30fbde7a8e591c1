"""What the service sees of a pool, whichever library is behind it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from psycopg.conninfo import conninfo_to_dict

from auth_service.pool_metrics import PoolMetrics

NO_PARAMS: Mapping[str, object] = {}


class PoolError(Exception):
    """No connection, or no working one."""


class PoolExhausted(PoolError):  # noqa: N818 - the name is the contract's
    """The pool had no connection to give within its timeout, or refused to queue the request.

    Counts are of the moment it gave up; ``limit`` is ``inf`` for a pool without one.
    """

    def __init__(
        self, name: str, *, limit: float, used: int, idle: int, pending: int, waited_s: float
    ) -> None:
        self.name = name
        self.limit = limit
        self.used = used
        self.idle = idle
        self.pending = pending
        self.waited_s = waited_s
        most = "unlimited" if math.isinf(limit) else f"{limit:.0f}"
        super().__init__(
            f"pool {name!r}: no connection after {waited_s:.2f} s "
            f"(limit={most}, used={used}, idle={idle}, pending={pending})"
        )


class DatabaseUnavailable(PoolError):  # noqa: N818 - the name is the contract's
    """The database could not be reached, broke the connection or declined the work."""


class Connection(Protocol):
    """One connection out of the pool.

    SQL names its parameters ``:name``, as ``sqlalchemy.text`` has it: casts are written
    ``CAST(:name AS type)``, and a colon that begins no parameter ``\\:``.

    A statement outside of ``transaction()`` commits by itself, so that no connection is ever left
    idle in a transaction by accident.
    """

    async def fetch_one(
        self, sql: str, params: Mapping[str, object] = NO_PARAMS
    ) -> tuple[Any, ...] | None:
        """The first row, or None."""

    async def execute(self, sql: str, params: Mapping[str, object] = NO_PARAMS) -> int:
        """Run a statement; how many rows it changed."""

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Commits at its end, rolls back on an error."""


class Pool(Protocol):
    """A pool of connections. ``DatabaseUnavailable`` may come from anything that talks to it."""

    metrics: PoolMetrics

    async def open(self) -> None:
        """Start; connections may still be on their way when this returns."""

    async def close(self) -> None:
        """Close what is idle, and what is in use as it comes back."""

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for the length of the context; raises PoolExhausted."""

    async def acquire(self) -> Connection:
        """A connection that stays out until ``release``, forgotten or not; raises PoolExhausted.

        ``connection()`` is the way to use one. This is how a leak is written: the pool itself
        remembers what it gave, so the garbage collector never repairs the leak.
        """

    async def release(self, connection: Connection) -> None:
        """Take a connection back."""


class Lending(ABC):
    """What all pools share: acquire and release in terms of one library's checkout and checkin."""

    metrics: PoolMetrics

    def __init__(self) -> None:
        self._lent: set[Connection] = set()

    @abstractmethod
    async def _checkout(self) -> Connection:
        """Get a connection; errors are the interface's own."""

    @abstractmethod
    async def _checkin(self, connection: Any) -> None:
        """Give it back, also while the caller is being cancelled."""

    async def acquire(self) -> Connection:
        connection = await self._checkout()
        self._lent.add(connection)
        return connection

    async def release(self, connection: Connection) -> None:
        if connection not in self._lent:
            raise ValueError("the connection is not out of this pool, or was released before")
        self._lent.remove(connection)
        await self._checkin(connection)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        connection = await self.acquire()
        try:
            yield connection
        finally:
            await self.release(connection)

    def _exhausted(self, began: float) -> PoolExhausted:
        state = self.metrics.state()
        assert state is not None, "a pool that is asked for a connection exists"
        return PoolExhausted(
            self.metrics.name,
            limit=state.limits.open_max,
            used=state.used,
            idle=state.idle,
            pending=state.pending,
            waited_s=perf_counter() - began,
        )


class Statements(ABC):
    """A connection in autocommit mode, whose transactions are statements like any other."""

    @abstractmethod
    async def execute(self, sql: str, params: Mapping[str, object] = NO_PARAMS) -> int: ...

    @abstractmethod
    async def _abandon(self) -> None:
        """Close the connection for good: its state is unknown."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self.execute("BEGIN")
        try:
            yield
        except BaseException:
            try:
                await self.execute("ROLLBACK")
            except Exception:  # noqa: BLE001 - of a broken connection, of whichever library
                # The first error is the one to tell; this one only says that the connection broke.
                await self._abandon()
            raise
        await self.execute("COMMIT")


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how to connect: keyword arguments of ``psycopg.connect``."""

    arguments: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        database_url: str,
        *,
        connect_timeout_s: float,
        statement_timeout_ms: int,
        application_name: str | None,
    ) -> Target:
        """Every form of address that libpq knows, with the limits laid over it."""
        arguments: dict[str, Any] = dict(conninfo_to_dict(database_url))
        arguments["connect_timeout"] = math.ceil(connect_timeout_s)  # libpq: whole seconds
        if statement_timeout_ms:
            given = arguments.get("options", "")
            arguments["options"] = f"{given} -c statement_timeout={statement_timeout_ms}".strip()
        if application_name is not None:
            arguments["application_name"] = application_name
        return cls(arguments)
