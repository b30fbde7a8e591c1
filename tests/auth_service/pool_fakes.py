"""A database server that exists only in memory, and a loop whose time only a test moves.

The server is the truth the pools' metrics are held to: it knows which connections are open,
being opened and being tested without asking any pool.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from sqlalchemy import util
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.pool import QueuePool


class Refused(Exception):  # noqa: N818 - what the server did
    """The server declines a connection."""


class FakeConnection:
    """A DBAPI connection that can die."""

    def __init__(self, server: FakeServer) -> None:
        self.alive = True
        self._server = server
        server.open.add(self)

    def rollback(self) -> None:
        pass

    def close(self) -> None:
        self._server.open.discard(self)


class FakeServer:
    """Opens connections unless told to refuse. Weak, as drivers close what is collected."""

    def __init__(self) -> None:
        self.open: weakref.WeakSet[FakeConnection] = weakref.WeakSet()
        self.refusing = False
        self.created = 0
        self.refused = 0

    def connect(self) -> FakeConnection:
        if self.refusing:
            self.refused += 1
            raise Refused
        self.created += 1
        return FakeConnection(self)


class AsyncFakeServer(FakeServer):
    """Answers no connect and no ping until the test says how it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.connecting: list[asyncio.Future[bool]] = []
        self.pinging: dict[asyncio.Future[bool], FakeConnection] = {}

    def connect(self) -> FakeConnection:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.connecting.append(answer)
        try:
            accepted = util.await_only(answer)
        finally:
            self.connecting.remove(answer)
        self.refusing = not accepted
        return super().connect()

    def ping(self, connection: FakeConnection) -> bool:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.pinging[answer] = connection
        try:
            return bool(util.await_only(answer))
        finally:
            del self.pinging[answer]


class FakeDialect(DefaultDialect):
    """What a pool asks of a dialect."""

    driver = "fake"

    def __init__(self, server: FakeServer, *, asynchronous: bool = False) -> None:
        super().__init__()
        self.is_async = asynchronous
        self.has_terminate = asynchronous
        self._server = server

    def do_rollback(self, dbapi_connection: Any) -> None:
        dbapi_connection.rollback()

    def do_terminate(self, dbapi_connection: Any) -> None:
        dbapi_connection.close()

    def _do_ping_w_event(self, dbapi_connection: Any) -> bool:
        if isinstance(self._server, AsyncFakeServer):
            return self._server.ping(dbapi_connection)
        return bool(dbapi_connection.alive)


def fake_engine(server: FakeServer, poolclass: type[QueuePool], **options: Any) -> Engine:
    """An engine over the fake server, with a pool of the given class."""
    dialect = FakeDialect(server, asynchronous=isinstance(server, AsyncFakeServer))
    pool = poolclass(server.connect, dialect=dialect, **options)
    return Engine(pool, dialect, make_url("fake://"))


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still until ``advance``."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def settle(self) -> None:
        """Run everything that can run without time passing."""
        for _ in range(20):
            self.run_until_complete(asyncio.sleep(0))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.settle()
