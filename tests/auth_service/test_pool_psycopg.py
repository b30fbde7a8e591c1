"""psycopg_pool on a real server: its gauges say what the server and its users know."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from prometheus_client import CollectorRegistry
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout, TooManyRequests

from auth_service.pool_metrics import PoolState
from auth_service.pool_metrics.of_psycopg import instrument_psycopg_pool

LIMIT = 3
MAX_WAITING = 2
NAMES = (f"pool test {number}" for number in itertools.count())


class PsycopgPool(RuleBasedStateMachine):
    """One pool, tasks that ask it, and a server that may end any of its connections."""

    dsn: str

    @initialize(check=st.booleans())
    def start(self, check: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self.name = next(NAMES)
        self.admin = psycopg.connect(self.dsn, autocommit=True)
        self.held: list[Any] = []
        self.asking: list[asyncio.Task[Any]] = []
        self.asked = self.returned = self.cancellations = self.refusals = self.lost = 0
        self.loop.run_until_complete(self.open(check))

    async def open(self, check: bool) -> None:
        self.pool = AsyncConnectionPool(
            self.dsn,
            kwargs={"application_name": self.name, "autocommit": True},
            open=False,
            min_size=1,
            max_size=LIMIT,
            timeout=30,
            max_waiting=MAX_WAITING,
            check=AsyncConnectionPool.check_connection if check else None,
        )
        self.metrics = instrument_psycopg_pool(self.pool, "psycopg", CollectorRegistry())
        await self.pool.open(wait=True)

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def state(self) -> PoolState:
        state = self.metrics.state()
        assert state is not None
        return state

    async def until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = self.loop.time() + 10
        while not condition():
            if self.loop.time() > deadline:
                pytest.fail(f"waited 10 s in vain for: {what}; {self.state()}")
            await asyncio.sleep(0.001)

    def settle(self) -> None:
        """Until nobody waits whom the pool could serve."""
        room = LIMIT - self.lost
        self.run(
            self.until(
                "everybody served who can be",
                lambda: (
                    len(self.held) + sum(task.done() for task in self.asking) >= room
                    or all(task.done() for task in self.asking)
                ),
            )
        )
        for task in [task for task in self.asking if task.done()]:
            self.asking.remove(task)
            self.asked += 1
            if task.cancelled():
                self.cancellations += 1
            elif isinstance(task.exception(), TooManyRequests):
                self.refusals += 1
            else:
                self.held.append(task.result())

    in_use = precondition(lambda self: self.held)

    @rule()
    def ask(self) -> None:
        self.asking.append(self.loop.create_task(self.pool.getconn()))
        self.run(asyncio.sleep(0))
        self.settle()

    @precondition(lambda self: self.asking)
    @rule(number=st.integers(0, 20))
    def cancel(self, number: int) -> None:
        task = self.asking[number % len(self.asking)]
        task.cancel()
        self.run(asyncio.wait([task]))
        self.settle()

    @in_use
    @rule(number=st.integers(0, 20))
    def put(self, number: int) -> None:
        connection = self.held.pop(number % len(self.held))
        self.returned += 1
        self.run(self.pool.putconn(connection))
        self.settle()

    @in_use
    @rule(number=st.integers(0, 20))
    def put_a_dead_one(self, number: int) -> None:
        connection = self.held.pop(number % len(self.held))
        self.returned += 1
        self.run(connection.close())
        self.run(self.pool.putconn(connection))
        self.settle()

    @precondition(lambda self: self.held and self.lost < LIMIT - 1)
    @rule(number=st.integers(0, 20))
    def drop_without_putting(self, number: int) -> None:
        self.run(self.held[number % len(self.held)].close())
        del self.held[number % len(self.held)]
        gc.collect()
        self.lost += 1
        self.settle()

    @rule()
    def drain(self) -> None:
        """Replace all connections."""
        self.run(self.pool.drain())
        self.settle()

    @invariant()
    def books_are_true(self) -> None:
        self.run(self.until("idle as the server says", self.idle_is_true))
        state = self.state()
        assert state.used == len(self.held)
        assert state.pending == len(self.asking)
        assert state.leaked == self.lost
        assert (state.limits.open_max, state.limits.idle_min) == (LIMIT, 1)
        assert self.metrics.cancellations == self.cancellations
        assert self.metrics.refusals == self.refusals
        assert self.metrics.timeouts == 0
        assert self.metrics.wait_time.state().count == self.asked
        assert self.metrics.use_time.state().count == self.returned

    def idle_is_true(self) -> bool:
        query = "select count(*) from pg_stat_activity where application_name = %s"
        row = self.admin.execute(query, [self.name]).fetchone()
        assert row is not None
        state = self.state()
        return state.opening == 0 and state.idle == row[0] - len(self.held)

    def teardown(self) -> None:
        if hasattr(self, "admin"):
            for task in self.asking:
                task.cancel()
            for connection in self.held:
                self.run(self.pool.putconn(connection))
            self.run(self.pool.close())
            self.admin.close()
            self.loop.close()


def test_books_are_true_whatever_happens(postgres_dsn: str) -> None:
    PsycopgPool.dsn = postgres_dsn
    run_state_machine_as_test(
        PsycopgPool,
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.anyio
async def test_a_wait_that_times_out(postgres_dsn: str) -> None:
    async with AsyncConnectionPool(postgres_dsn, min_size=1, max_size=1, open=False) as pool:
        metrics = instrument_psycopg_pool(pool, "timeout", CollectorRegistry())
        async with pool.connection():
            with pytest.raises(PoolTimeout):
                await pool.getconn(timeout=0.01)
        assert metrics.timeouts == 1
        assert metrics.wait_time.state().count == 2
        assert metrics.use_time.state().count == 1


@pytest.mark.anyio
async def test_a_request_cancelled_while_its_connection_is_tested(postgres_dsn: str) -> None:
    """Meanwhile the connection is used and the request not pending; afterwards it is idle."""
    testing, never = asyncio.Event(), asyncio.Event()

    async def check(connection: Any) -> None:
        testing.set()
        await never.wait()

    pool = AsyncConnectionPool(postgres_dsn, min_size=1, max_size=1, check=check, open=False)
    metrics = instrument_psycopg_pool(pool, "tested", CollectorRegistry())
    async with pool:
        await pool.wait()
        asking = asyncio.create_task(pool.getconn())
        await testing.wait()
        assert (state := metrics.state()) is not None
        assert (state.used, state.idle, state.pending) == (1, 0, 0)
        asking.cancel()
        await asyncio.wait([asking])
        assert (state := metrics.state()) is not None
        assert (state.used, state.idle, state.pending) == (0, 1, 0)
        assert metrics.cancellations == 1


@pytest.mark.anyio
async def test_a_server_that_cannot_be_reached_is_a_create_failure() -> None:
    pool = AsyncConnectionPool("host=127.0.0.1 port=1", min_size=1, max_size=1, open=False)
    metrics = instrument_psycopg_pool(pool, "away", CollectorRegistry())
    async with pool:
        with pytest.raises(PoolTimeout):
            await pool.getconn(timeout=0.05)
        state = metrics.state()
    assert state is not None
    assert (state.used, state.idle, state.pending) == (0, 0, 0)
    assert metrics.create_failures >= 1
    assert "refused" in (metrics.last_create_error or "")


def test_the_line_for_the_other_kinds_of_pool() -> None:
    sync_pool = ConnectionPool("host=127.0.0.1 port=1", open=False)
    with pytest.raises(TypeError, match="only an AsyncConnectionPool"):
        instrument_psycopg_pool(sync_pool, "sync", CollectorRegistry())  # type: ignore[arg-type]


def test_the_second_call_returns_the_same_books() -> None:
    registry = CollectorRegistry()
    pool = AsyncConnectionPool("host=127.0.0.1 port=1", open=False)
    metrics = instrument_psycopg_pool(pool, "once", registry)
    assert instrument_psycopg_pool(pool, "once", registry) is metrics
    metrics.uninstrument()
    assert type(pool) is AsyncConnectionPool
