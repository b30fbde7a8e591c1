"""The mistakes the service can be deployed with (``AUTH_DEFECTS``), each a way to hold connections.

A defect overrides the one decision of the unit of work that the mistake is about, so that any of
them can be deployed together. Each names where it was met in the wild.
"""

from __future__ import annotations

from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from inspect import getdoc
from typing import TYPE_CHECKING, cast

from auth_service import accounts
from auth_service.unit_of_work import Checkouts, UnitOfWork

if TYPE_CHECKING:
    from auth_service.accounts import User
    from auth_service.pool import Connection


class SessionOverTeardown(UnitOfWork):
    """The request's connection goes back only after the response was sent.

    One connection serves the whole request: taken at the first query, kept through the hash, the
    sending of the response and the teardown behind it (``AUTH_TEARDOWN_MS``). So does a framework
    that closes the database session of a request in the teardown of a dependency. The client's
    latency shows none of it; the pool holds size / (request + teardown) logins a second.

    Seen in: full-stack-fastapi-template #104, fastapi #3205.
    """

    _of_the_request: Connection | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        if self._of_the_request is None:
            until_answered = self._checkouts.until_answered
            self._of_the_request = await until_answered.enter_async_context(super().connection())
            until_answered.push_async_callback(sleep, self._teardown_s)
        yield self._of_the_request


class NestedCheckout(UnitOfWork):
    """A second connection is taken while the first is held.

    Inside the transaction, the number of sessions is looked up through a connection of its own, as
    a helper does that cannot be handed one. When all connections are first ones, every holder
    waits for a second that nobody can give back: the pool locks up until its timeout, although the
    database idles.

    Seen in: PostHog #40187; HikariCP, "About Pool Sizing", pool-locking.
    """

    @asynccontextmanager
    async def writing(self, user: User) -> AsyncIterator[Connection]:
        async with super().writing(user) as connection:
            async with self._checkouts.connection() as second:
                await accounts.count_sessions(second, user)
            yield connection


class LeakOnFailedLogin(UnitOfWork):
    """Every failed login takes a connection and never gives it back.

    A failed login looks up whether the user exists, for a security log, and leaves without
    returning the connection. After as many wrong passwords as the pool is large nobody can
    log in until the process restarts.

    Seen in: DSpace #11202.
    """

    async def rejected(self, username: str) -> None:
        connection = await self._checkouts.acquire()
        await accounts.is_known(connection, username)


class HashWhileHolding(UnitOfWork):
    """The connection that read the user is kept while the password is hashed.

    One connection serves the whole login, which looks like thrift. But hashing takes far longer
    than the statements do, and it queues for its own threads: the pool holds
    size / (hash + statements) logins a second, and connections idle while they are taken.

    Seen in: OWASP SecurityShepherd #819, supabase/auth #1319.
    """

    _held: Connection | None = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        self._held = await self._until_end.enter_async_context(self.connection())
        yield self._held

    @asynccontextmanager
    async def writing(self, user: User) -> AsyncIterator[Connection]:
        async with self._held_connection.transaction():
            yield self._held_connection

    @property
    def _held_connection(self) -> Connection:
        assert self._held is not None, "a login reads before it writes"
        return self._held


class IdleInTransaction(HashWhileHolding):
    """The transaction begins before the password is hashed, and is left open meanwhile.

    On top of what hash-while-holding does, the server sees sessions idle in transaction, which
    hold back vacuum and keep their locks; ``idle_in_transaction_session_timeout`` would end them.

    Seen in: GeoID #2343.
    """

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        self._held = await self._until_end.enter_async_context(self.connection())
        await self._until_end.enter_async_context(self._held.transaction())
        yield self._held

    @asynccontextmanager
    async def writing(self, user: User) -> AsyncIterator[Connection]:
        yield self._held_connection


# In the order in which they wrap each other when deployed together: a subclass before its base.
DEFECTS: Mapping[str, type[UnitOfWork]] = {
    "session-over-teardown": SessionOverTeardown,
    "nested-checkout": NestedCheckout,
    "leak-on-failed-login": LeakOnFailedLogin,
    "idle-in-transaction": IdleInTransaction,
    "hash-while-holding": HashWhileHolding,
}


def describe(name: str) -> str:
    """What the defect does, why it hurts and where it was met.

    Raises:
        KeyError: there is no such defect.
    """
    return getdoc(DEFECTS[name]) or ""


def units_of_work(
    names: Collection[str], *, teardown_s: float = 0.0
) -> Callable[[Checkouts], UnitOfWork]:
    """What makes a login's unit of work in a service deployed with the defects ``names``.

    Raises:
        KeyError: there is no such defect.
    """
    for name in names:
        DEFECTS[name]
    bases = tuple(defect for name, defect in DEFECTS.items() if name in names)
    combined = type("DeployedUnitOfWork", (*bases, UnitOfWork), {})
    kind = cast("type[UnitOfWork]", combined)
    return lambda checkouts: kind(checkouts, teardown_s)
