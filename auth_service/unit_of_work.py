"""When a request takes a connection and when it gives it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from auth_service.accounts import User
    from auth_service.pool import Connection, Pool


class Checkouts:
    """The connections of one request, counted out and in.

    ``close`` belongs behind the response; what is ``out`` after that was leaked. ``answered`` tells
    that the database did what it was asked to at least once.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._until_answered = AsyncExitStack()
        self.out = 0
        self.answered = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for as long as the block lasts.

        Raises:
            PoolExhausted: none became free in time.
            DatabaseUnavailable: none could be opened, or it broke.
        """
        async with self._pool.connection() as connection:
            self.out += 1
            try:
                yield connection
            finally:
                self.out -= 1
        self.answered = True

    async def acquire(self) -> Connection:
        """A connection that nobody gives back unless it is passed to ``release``."""
        connection = await self._pool.acquire()
        self.out += 1
        return connection

    async def release(self, connection: Connection) -> None:
        """Give back what ``acquire`` took."""
        self.out -= 1
        await self._pool.release(connection)

    @property
    def until_answered(self) -> AsyncExitStack:
        """What is entered here ends when the response has been sent."""
        return self._until_answered

    async def close(self) -> None:
        """The response has been sent, or never will be."""
        await self._until_answered.aclose()


class UnitOfWork:
    """One login's use of connections, done right: each is held for its statements and no longer.

    The login says what it needs a connection for; a unit of work decides how long one is kept for
    it. ``auth_service.defects`` holds the ways to get this wrong. ``teardown_s`` is how long the
    request's teardown takes after the response.
    """

    def __init__(self, checkouts: Checkouts, teardown_s: float = 0.0) -> None:
        self._checkouts = checkouts
        self._teardown_s = teardown_s
        self._until_end = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._until_end.__aexit__(kind, error, trace)

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for one purpose."""
        return self._checkouts.connection()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection to look the user up with."""
        async with self.connection() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self, user: User) -> AsyncIterator[Connection]:
        """A connection in a transaction, which commits at the end of the block."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def rejected(self, username: str) -> None:
        """The credentials were wrong: nothing to do with a connection."""
