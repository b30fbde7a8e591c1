"""A pool and a database in memory, which notice how the service uses them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from auth_service.accounts import DISTINCT_PASSWORDS, seeded_password, seeded_username
from auth_service.passwords import password_hasher
from auth_service.pool import DatabaseUnavailable, PoolExhausted
from auth_service.pool_metrics import Limits, PoolState
from auth_service.settings import HashSettings

CHEAP_HASH = HashSettings(time_cost=1, memory_kib=8, workers=1)


@dataclass
class FakeDatabase:
    """Users as seeded; sessions as opened. ``broken`` makes every statement fail."""

    users: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    sessions: dict[bytes, tuple[int, float]] = field(default_factory=dict)
    broken: bool = False
    worked_s: list[float] = field(default_factory=list)

    @classmethod
    def seeded(cls, users: int = DISTINCT_PASSWORDS) -> FakeDatabase:
        hasher = password_hasher(CHEAP_HASH)
        return cls(
            {
                seeded_username(i): (i, seeded_username(i), hasher.hash(seeded_password(i)))
                for i in range(users)
            }
        )

    def fetch_one(self, sql: str, params: Mapping[str, Any]) -> tuple[Any, ...] | None:
        self._check()
        if sql.startswith("SELECT id, username"):
            return self.users.get(params["username"])
        if "JOIN users" in sql:
            found = self.sessions.get(params["token_hash"])
            names = {number: name for number, name, _ in self.users.values()}
            return None if found is None else (names[found[0]], found[1])
        if "count(*) FROM sessions" in sql:
            return (sum(user == params["user_id"] for user, _ in self.sessions.values()),)
        if "pg_sleep" in sql:
            self.worked_s.append(params["seconds"])
        return (1,)

    def execute(self, sql: str, params: Mapping[str, Any]) -> int:
        self._check()
        if sql.startswith("INSERT INTO sessions"):
            self.sessions[params["token_hash"]] = (params["user_id"], params["ttl_s"])
            return 1
        if sql.startswith("DELETE FROM sessions"):
            return int(self.sessions.pop(params["token_hash"], None) is not None)
        return 1

    def _check(self) -> None:
        if self.broken:
            raise DatabaseUnavailable("the fake is broken")


@dataclass(eq=False)
class FakeConnection:
    """A connection; ``in_transaction`` while one is open."""

    database: FakeDatabase
    in_transaction: bool = False

    async def fetch_one(
        self, sql: str, params: Mapping[str, object] | None = None
    ) -> tuple[Any, ...] | None:
        return self.database.fetch_one(sql, params or {})

    async def execute(self, sql: str, params: Mapping[str, object] | None = None) -> int:
        return self.database.execute(sql, params or {})

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        assert not self.in_transaction, "a transaction within a transaction"
        self.in_transaction = True
        try:
            yield
        finally:
            self.in_transaction = False


class FakePool:
    """At most ``limit`` connections at a time; whoever waits longer than ``timeout_s`` gives up."""

    def __init__(self, database: FakeDatabase, *, limit: int = 5, timeout_s: float = 0.02) -> None:
        self.database = database
        self.metrics = self
        self.out: set[FakeConnection] = set()
        self.most_out = 0
        self.checkouts = 0
        self.opened = False
        self._limit = limit
        self._timeout_s = timeout_s
        self._pending = 0
        self._returned = asyncio.Condition()

    def state(self) -> PoolState:
        return PoolState(
            limits=Limits(
                open_max=self._limit,
                idle_max=self._limit,
                idle_min=0,
                wait_max_s=self._timeout_s,
            ),
            used=len(self.out),
            idle=0,
            opening=0,
            pending=self._pending,
            longest_wait_s=0.0,
            longest_use_s=0.0,
            leaked=0,
        )

    async def open(self) -> None:
        self.opened = True

    async def close(self) -> None:
        self.opened = False

    async def acquire(self) -> FakeConnection:
        self._pending += 1
        try:
            async with self._returned, asyncio.timeout(self._timeout_s):
                await self._returned.wait_for(lambda: len(self.out) < self._limit)
        except TimeoutError:
            raise PoolExhausted(
                "fake",
                limit=self._limit,
                used=len(self.out),
                idle=0,
                pending=self._pending,
                waited_s=self._timeout_s,
            ) from None
        finally:
            self._pending -= 1
        connection = FakeConnection(self.database)
        self.out.add(connection)
        self.checkouts += 1
        self.most_out = max(self.most_out, len(self.out))
        return connection

    async def release(self, connection: FakeConnection) -> None:
        self.out.remove(connection)
        async with self._returned:
            self._returned.notify()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[FakeConnection]:
        connection = await self.acquire()
        try:
            yield connection
        finally:
            await self.release(connection)
