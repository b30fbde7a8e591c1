"""The four pools on a real server: one behaviour behind one interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from auth_service.pool import (
    Connection,
    DatabaseUnavailable,
    Pool,
    PoolError,
    PoolExhausted,
    build_pool,
)
from auth_service.pools.base import Target
from auth_service.settings import POOL_IMPLEMENTATIONS, PoolSettings

pytestmark = pytest.mark.anyio

LIMITED = [name for name in POOL_IMPLEMENTATIONS if name != "none"]
every_pool = pytest.mark.parametrize("implementation", POOL_IMPLEMENTATIONS)
every_limited_pool = pytest.mark.parametrize("implementation", LIMITED)


@asynccontextmanager
async def opened(
    dsn: str, registry: CollectorRegistry | None = None, **fields: Any
) -> AsyncIterator[Pool]:
    pool = build_pool(
        PoolSettings(**fields),
        dsn,
        registry=registry or CollectorRegistry(),
        connect_timeout_s=5,
        statement_timeout_ms=0,
        application_name=f"test {fields['implementation']}",
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def until(what: str, condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            pytest.fail(f"waited 10 s in vain for: {what}")
        await asyncio.sleep(0.001)


async def broken_transaction(
    connection: Connection,
    insert: str,
    params: dict[str, object],
    *,
    sql: str = "select 1",
    error: Exception | None = None,
) -> None:
    async with connection.transaction():
        await connection.execute(insert, params)
        await connection.execute(sql)
        if error is not None:
            raise error


def counts(pool: Pool) -> tuple[int, int]:
    """Used and pending."""
    state = pool.metrics.state()
    assert state is not None
    return state.used, state.pending


@pytest.fixture(scope="session")
def table(postgres_dsn: str) -> str:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("create table pool_test (who text, number integer)")
    return "pool_test"


@every_pool
async def test_statements_and_their_results(
    implementation: str, postgres_dsn: str, table: str
) -> None:
    insert = f"insert into {table} values (:who, :number), (:who, 0)"
    where = f"from {table} where who = :who and number > 0"
    async with (
        opened(postgres_dsn, implementation=implementation) as pool,
        pool.connection() as connection,
    ):
        who = {"who": implementation}
        assert await connection.execute(insert, {**who, "number": 7}) == 2
        assert await connection.fetch_one(f"select who, number {where}", who) == (
            implementation,
            7,
        )
        assert await connection.fetch_one(f"select 1 {where}", {"who": "nobody"}) is None
        # Neither a percent sign nor a colon is a parameter.
        odd = r"select '50%', '\:who', cast(:number as text), current_setting('application_name')"
        assert await connection.fetch_one(odd, {"number": "9"}) == (
            "50%",
            ":who",
            "9",
            f"test {implementation}",
        )


@every_pool
async def test_a_statement_alone_is_committed_at_once(
    implementation: str, postgres_dsn: str, table: str
) -> None:
    """Otherwise every reader would sit idle in transaction while it hashes a password."""
    async with (
        opened(postgres_dsn, implementation=implementation) as pool,
        pool.connection() as connection,
    ):
        await connection.execute(
            f"insert into {table} values (:who, 1)", {"who": f"{implementation} alone"}
        )
        with psycopg.connect(postgres_dsn) as observer:
            row = observer.execute(
                f"select count(*) from {table} where who = %s", [f"{implementation} alone"]
            ).fetchone()
            states = observer.execute(
                "select state from pg_stat_activity where application_name = %s",
                [f"test {implementation}"],
            ).fetchall()
    assert row == (1,)
    assert ("idle in transaction",) not in states


@every_pool
async def test_a_transaction_commits_or_rolls_back_whole(
    implementation: str, postgres_dsn: str, table: str
) -> None:
    who = {"who": f"{implementation} transaction"}
    insert = f"insert into {table} values (:who, 1)"
    count = f"select count(*) from {table} where who = :who"
    async with (
        opened(postgres_dsn, implementation=implementation) as pool,
        pool.connection() as connection,
    ):
        with pytest.raises(KeyError):
            await broken_transaction(connection, insert, who, error=KeyError())
        assert await connection.fetch_one(count, who) == (0,)
        with pytest.raises(Exception, match="nowhere"):
            await broken_transaction(connection, insert, who, sql="insert into nowhere values (1)")
        assert await connection.fetch_one(count, who) == (0,)
        async with connection.transaction():
            await connection.execute(insert, who)
        assert await connection.fetch_one(count, who) == (1,)


@every_pool
async def test_a_cancelled_transaction_gives_its_connection_back_clean(
    implementation: str, postgres_dsn: str, table: str
) -> None:
    who = {"who": f"{implementation} cancelled"}
    async with opened(postgres_dsn, implementation=implementation, size=1, max_overflow=0) as pool:
        inside = asyncio.Event()

        async def login() -> None:
            async with pool.connection() as connection, connection.transaction():
                await connection.execute(f"insert into {table} values (:who, 1)", who)
                inside.set()
                await connection.execute("select pg_sleep(0.3)")

        task = asyncio.create_task(login())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with pool.connection() as connection:
            assert await connection.fetch_one(
                f"select count(*) from {table} where who = :who", who
            ) == (0,)
        await until("everything back", lambda: counts(pool) == (0, 0))


@every_limited_pool
async def test_exhaustion_tells_the_state_of_the_pool(
    implementation: str, postgres_dsn: str
) -> None:
    async with opened(
        postgres_dsn, implementation=implementation, size=1, max_overflow=1, timeout_s=0.2
    ) as pool:
        held = [await pool.acquire(), await pool.acquire()]
        with pytest.raises(PoolExhausted) as caught:
            await pool.acquire()
        for connection in held:
            await pool.release(connection)
    error = caught.value
    assert (error.name, error.limit, error.used, error.idle, error.pending) == (
        *("primary", 2, 2, 0),
        0,
    )
    assert 0.2 <= error.waited_s < 5
    assert "limit=2, used=2, idle=0, pending=0" in str(error)
    assert pool.metrics.timeouts == 1


async def test_a_full_queue_is_exhaustion_at_once(postgres_dsn: str) -> None:
    fields = {"size": 1, "max_overflow": 0, "max_waiting": 1, "timeout_s": 30}
    async with opened(postgres_dsn, implementation="psycopg-pool", **fields) as pool:
        held = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await until("a waiter", lambda: counts(pool) == (1, 1))
        with pytest.raises(PoolExhausted):
            await pool.acquire()
        assert (pool.metrics.refusals, pool.metrics.timeouts) == (1, 0)
        await pool.release(held)
        await pool.release(await waiting)


@every_limited_pool
async def test_a_cancelled_waiter_leaves_its_place(implementation: str, postgres_dsn: str) -> None:
    async with opened(
        postgres_dsn, implementation=implementation, size=1, max_overflow=0, timeout_s=1
    ) as pool:
        held = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await until("a waiter", lambda: counts(pool) == (1, 1))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await pool.release(held)
        async with pool.connection() as connection:
            assert await connection.fetch_one("select 1") == (1,)
        await until("everything back", lambda: counts(pool) == (0, 0))


@every_pool
async def test_what_is_acquired_and_forgotten_stays_out(
    implementation: str, postgres_dsn: str
) -> None:
    """SQLAlchemy's collector would repair a leak; the defect is about one it cannot repair."""
    async with opened(postgres_dsn, implementation=implementation) as pool:
        connection = await pool.acquire()
        assert counts(pool) == (1, 0)
        await pool.release(connection)
        assert counts(pool) == (0, 0)
        with pytest.raises(ValueError, match="released before"):
            await pool.release(connection)


@every_pool
async def test_a_database_that_is_away_is_not_an_exhausted_pool(implementation: str) -> None:
    nowhere = "postgresql://nobody:secret@127.0.0.1:1/nothing"
    async with opened(nowhere, implementation=implementation, timeout_s=0.3) as pool:
        with pytest.raises(DatabaseUnavailable, match="refused") as caught:
            await pool.acquire()
        assert "secret" not in str(caught.value)
        assert pool.metrics.create_failures >= 1
        assert counts(pool) == (0, 0)


@every_pool
async def test_a_connection_that_breaks_in_use_is_replaced(
    implementation: str, postgres_dsn: str
) -> None:
    async with opened(
        postgres_dsn, implementation=implementation, size=1, max_overflow=0, timeout_s=5
    ) as pool:
        with pytest.raises(PoolError):
            async with pool.connection() as connection, connection.transaction():
                await connection.execute("select pg_terminate_backend(pg_backend_pid())")
        async with pool.connection() as connection:
            assert await connection.fetch_one("select 1") == (1,)
        assert counts(pool) == (0, 0)


async def test_threads_are_a_queue_before_the_pools(postgres_dsn: str) -> None:
    """With fewer threads than connections the pool's own metrics never see a waiter."""
    registry = CollectorRegistry()
    fields = {"implementation": "sqlalchemy-sync", "size": 5, "threads": 2}
    async with opened(postgres_dsn, registry, **fields) as pool:
        held = [await pool.acquire(), await pool.acquire()]
        waiting = asyncio.create_task(pool.acquire())

        def threads(name: str) -> float | None:
            labels = {"db_client_connection_pool_name": "primary"}
            return registry.get_sample_value(name, labels)

        await until("a waiter for a thread", lambda: threads("auth_threads_waiting") == 1)
        assert threads("auth_threads_max") == 2
        assert counts(pool) == (2, 0)
        await pool.release(held.pop())
        held.append(await waiting)
        assert threads("auth_threads_waiting") == 0
        for connection in held:
            await pool.release(connection)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:secret@localhost:5432/name",
        "host=localhost port=5432 user=user password=secret dbname=name",
    ],
)
async def test_an_address_and_the_limits_laid_over_it(address: str) -> None:
    target = Target.of(
        address, connect_timeout_s=0.5, statement_timeout_ms=250, application_name="replica-1"
    )
    assert dict(target.arguments) == {
        "host": "localhost",
        "port": "5432",
        "user": "user",
        "password": "secret",
        "dbname": "name",
        "connect_timeout": 1,
        "options": "-c statement_timeout=250",
        "application_name": "replica-1",
    }
