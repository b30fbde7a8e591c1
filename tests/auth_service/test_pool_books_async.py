"""Whatever happens to an asyncio QueuePool, its gauges say what server and users know."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import hypothesis.strategies as st
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
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import greenlet_spawn

from auth_service.pool_metrics import instrument
from tests.auth_service.pool_fakes import AsyncFakeServer, Refused, VirtualLoop, fake_engine

SIZE, OVERFLOW, TIMEOUT_S = 2, 1, 5.0
LIMIT = SIZE + OVERFLOW


class AsyncPool(RuleBasedStateMachine):
    """Tasks that ask, are served, refused, cancelled or time out, with time under control."""

    @initialize(
        pre_ping=st.booleans(),
        lifo=st.booleans(),
        asked=st.integers(0, LIMIT + 2),
        idle=st.integers(0, SIZE),
    )
    def start(self, pre_ping: bool, lifo: bool, asked: int, idle: int) -> None:
        self.loop = VirtualLoop()
        self.server = AsyncFakeServer()
        self.engine = fake_engine(
            self.server,
            AsyncAdaptedQueuePool,
            pool_size=SIZE,
            max_overflow=OVERFLOW,
            timeout=TIMEOUT_S,
            recycle=3600,
            pre_ping=pre_ping,
            use_lifo=lifo,
        )
        self.metrics = instrument(
            self.engine, "async", CollectorRegistry(), clock=lambda: self.loop.now
        )
        self.asking: dict[asyncio.Task[Any], float] = {}
        self.held: dict[Any, float] = {}
        self.detached: list[Any] = []
        self.waits: list[float] = []
        self.uses: list[float] = []
        self.timeouts = self.cancellations = 0
        # Left to the rules alone, few runs would ever get a connection.
        for _ in range(asked):
            self.be_served()
        for number in range(min(idle, len(self.held))):
            self.give_back_by("close", number)

    def settle(self) -> None:
        self.loop.settle()
        for task in [task for task in self.asking if task.done()]:
            self.waits.append(self.loop.now - self.asking.pop(task))
            if task.cancelled():
                self.cancellations += 1
            elif task.exception() is None:
                self.held[task.result()] = self.loop.now
            elif isinstance(task.exception(), exc.TimeoutError):
                self.timeouts += 1
            else:
                assert isinstance(task.exception(), Refused)

    def spawn(self, function: Any, *args: Any) -> None:
        self.loop.run_until_complete(greenlet_spawn(function, *args))
        self.settle()

    def give_back(self, number: int) -> Any:
        connection = list(self.held)[number % len(self.held)]
        self.uses.append(self.loop.now - self.held.pop(connection))
        return connection

    in_use = precondition(lambda self: self.held)

    @rule()
    def be_served(self) -> None:
        """Ask, with a server that answers at once; in a full pool this is one more waiter."""
        if len(self.asking) < 6:
            self.ask()
        while self.server.connecting or self.server.pinging:
            for answer in [*self.server.connecting, *self.server.pinging]:
                answer.set_result(True)
            self.settle()

    @precondition(lambda self: len(self.asking) < 6)
    @rule()
    def ask(self) -> None:
        task = self.loop.create_task(greenlet_spawn(self.engine.raw_connection))
        self.asking[task] = self.loop.now
        self.settle()

    @precondition(lambda self: self.asking)
    @rule(number=st.integers(0, 20))
    def cancel(self, number: int) -> None:
        list(self.asking)[number % len(self.asking)].cancel()
        self.settle()

    @precondition(lambda self: self.server.connecting)
    @rule(number=st.integers(0, 20), accepted=st.booleans())
    def a_connect_ends(self, number: int, accepted: bool) -> None:
        self.server.connecting[number % len(self.server.connecting)].set_result(accepted)
        self.settle()

    @precondition(lambda self: self.server.pinging)
    @rule(alive=st.booleans())
    def a_ping_ends(self, alive: bool) -> None:
        next(iter(self.server.pinging)).set_result(alive)
        self.settle()

    @precondition(lambda self: self.server.connecting or self.server.pinging)
    @rule()
    def cancelled_in_the_moment_of_success(self) -> None:
        """The answer and the cancellation reach a task in the same turn of the loop."""
        for answer in [*self.server.connecting, *self.server.pinging]:
            answer.set_result(True)
        for task in self.asking:
            task.cancel()
        self.settle()

    @rule(seconds=st.sampled_from([0.25, TIMEOUT_S, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.now += seconds
        self.settle()

    @in_use
    @rule(
        number=st.integers(0, 20),
        way=st.sampled_from(["close", "close", "invalidate", "detach", "drop"]),
    )
    def give_back_by(self, way: str, number: int) -> None:
        connection = self.give_back(number)
        if way == "drop":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", exc.SAWarning)
                del connection
                gc.collect(0)
            self.settle()
            return
        self.spawn(getattr(connection, way))
        if way == "detach":
            self.detached.append(connection)

    @in_use
    @rule(number=st.integers(0, 20))
    def checkin_and_cancel_the_waiters(self, number: int) -> None:
        """A waiter that was woken and is cancelled before it runs must not take its slot along."""
        connection = self.give_back(number)
        self.loop.run_until_complete(greenlet_spawn(connection.close))
        for task in self.asking:
            task.cancel()
        self.settle()

    @in_use
    @rule(number=st.integers(0, 20))
    def age(self, number: int) -> None:
        list(self.held)[number % len(self.held)]._connection_record.starttime = 0

    @precondition(lambda self: not self.asking)
    @rule()
    def dispose(self) -> None:
        self.spawn(self.engine.dispose)

    @invariant()
    def books_are_true(self) -> None:
        state = self.metrics.state()
        assert state is not None
        used = len(self.held) + len(self.server.pinging)
        assert state.used == used
        assert state.idle == len(self.server.open) - used - len(self.detached)
        assert state.pending == len(self.asking) - len(self.server.pinging)
        assert state.opening == len(self.server.connecting)
        now = self.loop.now
        assert state.longest_wait_s == now - min(self.asking.values(), default=now)
        assert state.longest_use_s == now - min(self.held.values(), default=now)
        assert state.leaked == sum(now - since > 60 for since in self.held.values())
        assert self.metrics.timeouts == self.timeouts
        assert self.metrics.cancellations == self.cancellations
        assert self.metrics.create_failures == self.server.refused
        assert self.metrics.create_time.state().count == self.server.created
        waits, uses = self.metrics.wait_time.state(), self.metrics.use_time.state()
        assert (waits.count, waits.sum) == (len(self.waits), sum(self.waits))
        assert (uses.count, uses.sum) == (len(self.uses), sum(self.uses))

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            for task in self.asking:
                task.cancel()
            self.settle()
            while self.held:
                self.give_back_by("close", 0)
            self.loop.close()


TestAsyncPool = AsyncPool.TestCase
TestAsyncPool.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
