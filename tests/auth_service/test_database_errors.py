"""Why the database could not be used: from the errors themselves, and from a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, suppress

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from psycopg import errors
from sqlalchemy import exc

from auth_service.database_errors import REASONS, Reason, reason_of
from auth_service.pool import Connection, DatabaseUnavailable, build_pool
from auth_service.settings import POOL_IMPLEMENTATIONS, PoolImplementation, PoolSettings
from tests.auth_service.deployed_service import Deploy

every_pool = pytest.mark.parametrize("implementation", POOL_IMPLEMENTATIONS)

CONNECTING = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: '

MESSAGES: list[tuple[str, Reason]] = [
    (f"{CONNECTING}FATAL:  sorry, too many clients already", "too_many_connections"),
    (
        f"{CONNECTING}FATAL:  remaining connection slots are reserved for roles with privileges of"
        ' the "pg_use_reserved_connections" role',
        "too_many_connections",
    ),
    (f'{CONNECTING}FATAL:  too many connections for role "auth"', "too_many_connections"),
    (
        f"{CONNECTING}FATAL:  no more connections allowed (max_client_conn)",
        "too_many_connections",
    ),
    (
        "server login has been failing, cached error: FATAL: sorry, too many clients already"
        " (server_login_retry)",
        "too_many_connections",
    ),
    (
        f"{CONNECTING}Connection refused\n\tIs the server running on that host and accepting TCP/IP"
        " connections?",
        "unreachable",
    ),
    (f"{CONNECTING}No route to host", "unreachable"),
    (f"{CONNECTING}Connection timed out", "unreachable"),
    ("connection timeout expired", "unreachable"),
    ("failed to resolve host 'db': [Errno -2] Name or service not known", "unreachable"),
    (f"{CONNECTING}FATAL:  the database system is starting up", "unreachable"),
    (f"{CONNECTING}FATAL:  the database system is shutting down", "unreachable"),
    ("server login has been failing, try again later (server_login_retry)", "unreachable"),
    (
        "consuming input failed: server closed the connection unexpectedly\n\tThis probably means"
        " the server terminated abnormally\n\tbefore or while processing the request.",
        "connection_lost",
    ),
    (
        "consuming input failed: terminating connection due to administrator command",
        "connection_lost",
    ),
    (
        "consuming input failed: could not receive data from server: Connection timed out",
        "connection_lost",
    ),
    ("consuming input failed: SSL SYSCALL error: EOF detected", "connection_lost"),
    ("the connection is closed", "connection_lost"),
    ("server conn crashed?", "connection_lost"),
    ("server shutting down", "connection_lost"),
    ("canceling statement due to statement timeout", "statement_timeout"),
    ("query timeout", "statement_timeout"),
    ("canceling statement due to lock timeout", "lock_timeout"),
    ("query_wait_timeout", "query_wait_timeout"),
    (f"{CONNECTING}FATAL:  query_wait_timeout", "query_wait_timeout"),
    (f'{CONNECTING}FATAL:  password authentication failed for user "auth"', "other"),
    ("deadlock detected", "other"),
    ("", "other"),
]


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(("message", "reason"), MESSAGES)
def test_without_a_sqlstate_the_message_decides(message: str, reason: Reason) -> None:
    assert reason_of(DatabaseUnavailable(f"pool 'primary': {message}")) == reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.TooManyConnections(), "too_many_connections"),
        (errors.CannotConnectNow(), "unreachable"),
        (errors.ConnectionFailure(), "connection_lost"),
        (errors.AdminShutdown(), "connection_lost"),
        (errors.CrashShutdown(), "connection_lost"),
        (errors.IdleSessionTimeout(), "connection_lost"),
        (errors.IdleInTransactionSessionTimeout(), "connection_lost"),
        (errors.TransactionTimeout(), "connection_lost"),
        (errors.QueryCanceled(), "statement_timeout"),
        (errors.LockNotAvailable(), "lock_timeout"),
        (errors.DeadlockDetected(), "other"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_sqlstate_decides_wherever_it_stands_in_the_chain(
    error: psycopg.Error, reason: Reason
) -> None:
    """Raised from the driver's error, or from SQLAlchemy's, which holds it as ``orig``."""
    assert reason_of(raised_from(DatabaseUnavailable("in no known words"), error)) == reason
    wrapped = exc.OperationalError("select 1", {}, error)
    assert wrapped.__cause__ is None
    assert reason_of(raised_from(DatabaseUnavailable("in no known words"), wrapped)) == reason


def test_a_sqlstate_is_believed_before_the_message() -> None:
    """The server may speak any language, and quote anything."""
    error = DatabaseUnavailable("connection refused")
    assert reason_of(raised_from(error, errors.LockNotAvailable())) == "lock_timeout"


def test_pgbouncers_one_sqlstate_says_nothing() -> None:
    """08P01 stands over nearly everything that PgBouncer says by itself."""
    error = DatabaseUnavailable("pool 'primary': query_wait_timeout")
    assert reason_of(raised_from(error, errors.ProtocolViolation())) == "query_wait_timeout"


def test_what_a_user_sends_does_not_count() -> None:
    """SQLAlchemy's message has the parameters in it: a username could be any of our fragments."""
    orig = psycopg.OperationalError("out of memory")
    wrapped = exc.OperationalError("select 1", {"username": "too many clients already"}, orig)
    assert "too many clients already" in str(wrapped)
    error = DatabaseUnavailable(f"pool 'primary': {wrapped.orig}")
    assert reason_of(raised_from(error, wrapped)) == "other"


def test_a_chain_that_bites_its_tail_ends() -> None:
    """Whoever raises an error from one that came from it must not hang the service."""
    error = DatabaseUnavailable("")
    assert reason_of(raised_from(error, raised_from(ValueError(), error))) == "other"


@pytest.fixture(scope="module")
def locked(postgres_dsn: str) -> Iterator[str]:
    """The name of a table that somebody else has locked."""
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("CREATE TABLE locked ()")
        connection.commit()
        connection.execute("LOCK TABLE locked")
        yield "locked"
        connection.rollback()
        connection.execute("DROP TABLE locked")


@asynccontextmanager
async def connected(
    dsn: str, implementation: PoolImplementation, statement_timeout_ms: int = 0
) -> AsyncIterator[Connection]:
    pool = build_pool(
        PoolSettings(implementation=implementation),
        dsn,
        registry=CollectorRegistry(),
        connect_timeout_s=5,
        statement_timeout_ms=statement_timeout_ms,
    )
    await pool.open()
    try:
        async with pool.connection() as connection:
            yield connection
    finally:
        await pool.close()


@pytest.mark.anyio
@every_pool
async def test_a_statement_that_takes_too_long(
    implementation: PoolImplementation, postgres_dsn: str
) -> None:
    async with connected(postgres_dsn, implementation, statement_timeout_ms=20) as connection:
        with pytest.raises(DatabaseUnavailable) as caught:
            await connection.execute("SELECT pg_sleep(60)")
    assert reason_of(caught.value) == "statement_timeout"


@pytest.mark.anyio
@every_pool
async def test_a_lock_that_is_awaited_too_long(
    implementation: PoolImplementation, postgres_dsn: str, locked: str
) -> None:
    async with connected(postgres_dsn, implementation) as connection:
        await connection.execute("SET lock_timeout = '20ms'")
        with pytest.raises(DatabaseUnavailable) as caught:
            await connection.fetch_one(f"SELECT * FROM {locked}")
    assert reason_of(caught.value) == "lock_timeout"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "ending",
    ["SELECT pg_terminate_backend(pg_backend_pid())", "SELECT pg_sleep(60)"],
    ids=["terminated", "transaction timeout"],
)
@every_pool
async def test_a_connection_that_the_server_ends(
    implementation: PoolImplementation, postgres_dsn: str, ending: str
) -> None:
    """Also where the driver's error is of a class that otherwise means a wrong statement."""
    async with connected(postgres_dsn, implementation) as connection:
        await connection.execute("SET transaction_timeout = '200ms'")
        await connection.execute("BEGIN")
        with pytest.raises(DatabaseUnavailable) as caught:
            await connection.execute(ending)
    assert reason_of(caught.value) == "connection_lost"


@pytest.mark.anyio
@every_pool
async def test_a_database_that_only_reads_is_there(
    implementation: PoolImplementation, postgres_dsn: str
) -> None:
    """A write to it (25006) is an error of the service's, not a database that is away."""
    async with connected(postgres_dsn, implementation) as connection:
        await connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(Exception, match="read-only transaction") as caught:
            await connection.execute("CREATE TABLE unwritten ()")
    assert not isinstance(caught.value, DatabaseUnavailable)


@pytest.fixture
def full_server(postgres_dsn: str) -> Iterator[None]:
    """Every connection that the service could have is somebody else's."""
    with ExitStack() as taken:
        with suppress(psycopg.OperationalError):  # there is none left
            while True:
                taken.enter_context(closing(psycopg.connect(postgres_dsn)))
        yield


@pytest.mark.anyio
@pytest.mark.parametrize("implementation", ["sqlalchemy-async", "psycopg-pool"])
async def test_a_server_without_a_free_connection_is_counted_as_that(
    full_server: None, deploy_on_postgres: Deploy, implementation: str
) -> None:
    """Once for each request; the service's own asking whether the database is back is no request.

    A psycopg pool connects in the background: it has only a message to tell.
    """
    pool = {"implementation": implementation, "timeout_s": 0.3}
    async with deploy_on_postgres(pool=pool) as service:
        assert (await service.client.get("/readyz")).json()["reason"] == "database_unavailable"
        for reason in REASONS:
            assert await service.metric("auth_database_errors_total", reason=reason) == 0
        assert (await service.login()).json()["code"] == "database_unavailable"
        for reason in REASONS:
            count = await service.metric("auth_database_errors_total", reason=reason)
            assert count == (reason == "too_many_connections"), reason
