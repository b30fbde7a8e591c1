"""Whatever happens to a sync QueuePool, its gauges say what server and users know."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from prometheus_client import CollectorRegistry
from sqlalchemy import exc
from sqlalchemy.pool import QueuePool

from auth_service.pool_metrics import instrument
from tests.auth_service.pool_fakes import FakeServer, Refused, fake_engine

SIZE, OVERFLOW = 2, 1
LIMIT = SIZE + OVERFLOW


def wait_for(what: str, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s} s in vain for: {what}")
        time.sleep(0.0002)


class Waiter:
    """A thread that asks for a connection."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.connection: Any = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()

    def _ask(self) -> None:
        try:
            self.connection = self._engine.raw_connection()
        except (Refused, exc.TimeoutError) as error:
            self.error = error

    @property
    def ended(self) -> bool:
        return self.connection is not None or self.error is not None


class SyncPool(RuleBasedStateMachine):
    """One pool, its users, threads that wait for it, and a server that may refuse."""

    @initialize(pre_ping=st.booleans(), lifo=st.booleans(), asked=st.integers(0, LIMIT + 1))
    def start(self, pre_ping: bool, lifo: bool, asked: int) -> None:
        self.server = FakeServer()
        self.engine = fake_engine(
            self.server,
            QueuePool,
            pool_size=SIZE,
            max_overflow=OVERFLOW,
            recycle=3600,
            pre_ping=pre_ping,
            use_lifo=lifo,
        )
        self.metrics = instrument(self.engine, "sync", CollectorRegistry())
        self.held: list[Any] = []
        self.of_old_pools: list[Any] = []
        self.detached: list[Any] = []
        self.waiters: list[Waiter] = []
        self.asked = self.returned = self.timeouts = 0
        # Left to the rules alone, few runs would ever fill the pool.
        for _ in range(asked):
            self.a_thread_waits() if self.full() else self.checkout()

    def full(self) -> bool:
        return len(self.held) == LIMIT

    def settle(self) -> None:
        """Until every thread that is not served is back in the queue, asleep."""
        asleep = self.engine.pool._pool.not_empty._waiters  # type: ignore[attr-defined]
        wait_for(
            "waiters served or asleep",
            lambda: sum(not waiter.ended for waiter in self.waiters) == len(asleep),
        )
        for waiter in [waiter for waiter in self.waiters if waiter.ended]:
            waiter.thread.join()
            self.waiters.remove(waiter)
            self.asked += 1
            if waiter.error is None:
                self.held.append(waiter.connection)
            else:
                assert isinstance(waiter.error, Refused)
            waiter.connection = None

    def give_back(self, number: int) -> Any:
        """One of the connections in use; to be returned by the caller in his own way."""
        everywhere = self.held + self.of_old_pools
        connection = everywhere[number % len(everywhere)]
        (self.held if connection in self.held else self.of_old_pools).remove(connection)
        self.returned += 1
        return connection

    in_use = precondition(lambda self: self.held or self.of_old_pools)

    @precondition(lambda self: not self.full())
    @rule()
    def checkout(self) -> None:
        self.asked += 1
        try:
            self.held.append(self.engine.raw_connection())
        except Refused:
            assert self.server.refusing

    @precondition(lambda self: self.full() and not self.waiters)
    @rule()
    def checkout_from_a_full_pool(self) -> None:
        self.engine.pool._timeout = 0  # type: ignore[attr-defined]
        with pytest.raises(exc.TimeoutError):
            self.engine.raw_connection()
        self.engine.pool._timeout = 30  # type: ignore[attr-defined]
        self.asked += 1
        self.timeouts += 1

    @precondition(lambda self: self.full() and len(self.waiters) < 3)
    @rule()
    def a_thread_waits(self) -> None:
        self.waiters.append(Waiter(self.engine))
        self.settle()

    @in_use
    @rule(
        number=st.integers(0, 20),
        way=st.sampled_from(
            ["close", "close", "invalidate", "invalidate softly", "detach", "drop"]
        ),
    )
    def give_back_by(self, way: str, number: int) -> None:
        connection = self.give_back(number)
        match way:
            case "invalidate softly":
                connection.invalidate(soft=True)
                connection.close()
            case "drop":
                del connection
                gc.collect(0)
            case _:
                getattr(connection, way)()
                if way == "detach":
                    self.detached.append(connection)
        self.settle()

    @precondition(lambda self: self.detached)
    @rule()
    def close_a_detached_one(self) -> None:
        self.detached.pop().close()

    @in_use
    @rule(number=st.integers(0, 20), how=st.sampled_from(["dies", "is too old"]))
    def a_connection_in_use(self, number: int, how: str) -> None:
        everywhere = self.held + self.of_old_pools
        connection = everywhere[number % len(everywhere)]
        if how == "dies":
            connection.dbapi_connection.alive = False
        else:
            connection._connection_record.starttime = 0

    @rule(refusing=st.booleans())
    def the_server_refuses(self, refusing: bool) -> None:
        self.server.refusing = refusing

    @precondition(lambda self: not self.waiters)
    @rule(close=st.booleans())
    def dispose(self, close: bool) -> None:
        self.engine.dispose(close=close)
        self.of_old_pools += self.held
        self.held.clear()

    @invariant()
    def books_are_true(self) -> None:
        state = self.metrics.state()
        assert state is not None
        used = len(self.held) + len(self.of_old_pools)
        assert state.used == used
        assert state.idle == len(self.server.open) - used - len(self.detached)
        assert state.pending == len(self.waiters)
        assert state.opening == 0
        assert state.limits.open_max == LIMIT
        assert (state.longest_use_s > 0) == (used > 0)
        assert (state.longest_wait_s > 0) == bool(self.waiters)
        assert self.metrics.timeouts == self.timeouts
        assert self.metrics.cancellations == 0
        assert self.metrics.create_failures == self.server.refused
        assert self.metrics.create_time.state().count == self.server.created
        assert self.metrics.wait_time.state().count == self.asked
        assert self.metrics.use_time.state().count == self.returned

    def teardown(self) -> None:
        if hasattr(self, "server"):
            self.server.refusing = False
            while self.held or self.of_old_pools:
                self.give_back_by("close", 0)


TestSyncPool = SyncPool.TestCase
TestSyncPool.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_many_threads_leave_balanced_books() -> None:
    """Lost updates would show as waiters or uses that never end."""
    server = FakeServer()
    engine = fake_engine(server, QueuePool, pool_size=2, max_overflow=1, timeout=30)
    metrics = instrument(engine, "threads", CollectorRegistry())
    rounds, threads = 300, 6

    def use() -> None:
        for _ in range(rounds):
            engine.raw_connection().close()

    workers = [threading.Thread(target=use) for _ in range(threads)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        state = metrics.state()
        assert state is not None
        assert 0 <= state.used <= 3
        assert 0 <= state.pending <= threads
        workers[0].join(0.001)
    state = metrics.state()
    assert state is not None
    assert (state.used, state.pending, state.idle) == (0, 0, len(server.open))
    assert metrics.wait_time.state().count == rounds * threads
    assert metrics.use_time.state().count == rounds * threads


def test_a_failed_connect_wakes_nobody_and_the_books_show_it() -> None:
    """SQLAlchemy frees the slot of a failed connect without waking a waiter.

    What is left is a waiter before a pool that has room: pending with used below max.
    """
    connecting, fail = threading.Event(), threading.Event()
    server = FakeServer()

    def connect() -> Any:
        if not server.created:
            return server.connect()
        connecting.set()
        assert fail.wait(10)
        raise Refused

    engine = fake_engine(server, QueuePool, pool_size=2, max_overflow=0, timeout=30)
    engine.pool._creator = connect
    metrics = instrument(engine, "lost wake-up", CollectorRegistry())
    first = engine.raw_connection()
    failing = Waiter(engine)
    assert connecting.wait(10)
    waiting = Waiter(engine)
    wait_for("second waiter", lambda: (s := metrics.state()) is not None and s.pending == 2)

    fail.set()
    failing.thread.join(10)
    assert isinstance(failing.error, Refused)

    state = metrics.state()
    assert state is not None
    assert (state.used, state.opening, state.pending) == (1, 0, 1)
    assert state.used < state.limits.open_max
    assert not waiting.ended

    first.close()
    waiting.thread.join(10)
    waiting.connection.close()
