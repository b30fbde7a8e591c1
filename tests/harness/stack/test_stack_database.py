"""What can be done to the database of a running stack: taken away, locked, cleared of sessions."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.errors import InfrastructureError, UsageError
from harness.incident import DatabaseConfig, GatewayConfig, HashConfig, ServiceConfig
from harness.stack import EmbeddedPostgres, Stack, sessions, wait_until
from tests.harness.stack.logins import log_in
from tests.harness.stack.processes import family, is_gone

SERVICE = ServiceConfig(replicas=1, hash=HashConfig(time_cost=1, memory_kib=64))
DATABASE = DatabaseConfig(users=100, max_connections=40)
MAX_CONNECTIONS = "SELECT current_setting('max_connections')"

Events = list[tuple[str, str, dict[str, Any]]]


@pytest.fixture(scope="module")
def events() -> Events:
    return []


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, events: Events) -> Iterator[Stack]:
    """A stack that the tests of this module share; each leaves it serving."""
    with Stack.start(
        SERVICE,
        GatewayConfig(),
        DATABASE,
        directory=tmp_path_factory.mktemp("logs"),
        prometheus=False,
        on_event=lambda name, state, detail: events.append((name, state, dict(detail))),
    ) as running:
        yield running


Connect = Callable[..., psycopg.Connection[Any]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """psycopg.connect; whatever became of the sessions, they are closed afterwards."""
    with ExitStack() as connections:
        yield lambda dsn, **arguments: connections.enter_context(
            closing(psycopg.connect(dsn, **arguments))
        )


def ask(dsn: str, query: str) -> Any:
    """The first column of the first row."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def is_cut(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def serves(stack: Stack) -> bool:
    return log_in(stack, 1).status_code == 200


# -- restart -----------------------------------------------------------------------------------


def test_the_database_comes_back_with_its_data_and_more_connections(
    stack: Stack, events: Events
) -> None:
    assert stack.owns_database
    assert serves(stack)
    before, dsn = stack.sessions(), stack.postgres.dsn
    old = stack.postgres.child
    with psycopg.connect(dsn) as connection:
        stack.restart_database(max_connections=55)
        assert is_cut(connection)
    assert stack.postgres.dsn == dsn
    assert stack.postgres.child is not old
    assert ask(dsn, MAX_CONNECTIONS) == "55"
    assert stack.sessions().equals(before)
    assert stack.dead_parts() == ()
    wait_until("logins to work again", lambda: serves(stack), timeout_s=10)
    told = [event for event in events if event[0] == "restart-database"]
    assert [(state, detail["part"]) for _, state, detail in told] == [
        ("begin", "postgres"),
        ("end", "postgres"),
    ]


def test_the_database_stays_away_and_its_absence_is_no_alarm(stack: Stack) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        restart = pool.submit(stack.restart_database, down_s=1.0)
        wait_until("it to be away", lambda: not stack.postgres.child.alive(), timeout_s=5)
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(stack.postgres.dsn, connect_timeout=2)
        assert stack.dead_parts() == ()
        assert not restart.done()
        restart.result(20)
    assert time.monotonic() - began > 1.0
    assert stack.dead_parts() == ()
    assert ask(stack.postgres.dsn, "SELECT count(*) FROM users") == DATABASE.users
    assert ask(stack.postgres.dsn, MAX_CONNECTIONS) == "55", "as it was left"
    wait_until("logins to work again", lambda: serves(stack), timeout_s=10)


def test_a_later_death_is_reported_and_can_be_restarted(stack: Stack) -> None:
    stack.restart_database()
    backends = family(stack.postgres.child.pid)
    stack.kill("postgres", signal.SIGKILL)
    wait_until("the death to be seen", stack.dead_parts, timeout_s=5)
    assert [part for part, _ in stack.dead_parts()] == ["postgres"]
    wait_until("its processes to be gone", lambda: all(map(is_gone, backends)), timeout_s=5)
    stack.restart_database()
    assert stack.dead_parts() == ()
    wait_until("logins to work again", lambda: serves(stack), timeout_s=10)


def test_a_stack_is_stopped_while_its_database_is_away(tmp_path: Path) -> None:
    stack = Stack.start(
        SERVICE, GatewayConfig(), DATABASE, directory=tmp_path / "logs", prometheus=False
    )
    with ThreadPoolExecutor(1) as pool:
        restart = pool.submit(stack.restart_database, down_s=600)
        wait_until("it to be away", lambda: not stack.postgres.child.alive(), timeout_s=5)
        stack.stop()
        restart.result(5)
    assert not stack.postgres.child.alive()
    assert stack.dead_parts() == ()


def test_a_server_of_the_users_is_not_restarted(
    embedded_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Nor made slow to connect to; its sessions are known by the replicas' names."""
    with psycopg.connect(embedded_postgres.admin_dsn, autocommit=True) as admin:
        admin.execute("CREATE DATABASE somebodys_stack OWNER auth")
    dsn = embedded_postgres.dsn.rpartition("/")[0] + "/somebodys_stack"
    slow = DATABASE.model_copy(update={"connect_delay_s": 1.0})
    with pytest.raises(UsageError, match="only a database of ours can be made slow"):
        Stack.start(SERVICE, GatewayConfig(), slow, directory=tmp_path / "slow", postgres=dsn)
    try:
        with Stack.start(
            SERVICE,
            GatewayConfig(),
            DATABASE,
            directory=tmp_path / "logs",
            prometheus=False,
            postgres=dsn,
        ) as stack:
            assert not stack.owns_database
            assert stack.exporter_dsn is None
            assert stack.pgbouncer_dsn is None
            with pytest.raises(UsageError, match="only a database of ours can be restarted"):
                stack.restart_database()
            assert serves(stack)
            with psycopg.connect(dsn, application_name="psql") as somebody:
                somebody.execute("SELECT 1")
                idle = psycopg.connect(dsn, application_name="replica-1", autocommit=True)
                wait_until(
                    "an idle session", lambda: stack.terminate_sessions("idle", 0.0), timeout_s=5
                )
                wait_until("it to be cut", lambda: is_cut(idle), timeout_s=5)
                assert stack.terminate_sessions("idle-in-transaction", 0.0) == 0
                assert not is_cut(somebody)
    finally:
        with psycopg.connect(embedded_postgres.admin_dsn, autocommit=True) as admin:
            admin.execute("DROP DATABASE somebodys_stack WITH (FORCE)")


# -- sessions ----------------------------------------------------------------------------------


def test_sessions_idle_in_a_transaction_are_ended(stack: Stack, connect: Connect) -> None:
    dsn, admin_dsn = stack.postgres.dsn, stack.postgres.admin_dsn
    forgotten = connect(dsn)
    forgotten.execute("SELECT 1")
    failed = connect(dsn)
    with pytest.raises(psycopg.Error):
        failed.execute("SELECT 1/0")
    idle = connect(dsn, autocommit=True)
    idle.execute("SELECT 1")
    not_the_services = connect(admin_dsn)
    not_the_services.execute("SELECT 1")
    assert stack.terminate_sessions("idle-in-transaction", 600.0) == 0
    assert stack.terminate_sessions("idle-in-transaction", 0.0) == 2
    wait_until("the forgotten one to be cut", lambda: is_cut(forgotten), timeout_s=5)
    wait_until("the failed one to be cut", lambda: failed.closed or is_cut(failed), timeout_s=5)
    assert not is_cut(idle)
    assert not is_cut(not_the_services)


def test_idle_sessions_are_ended_by_age(stack: Stack, connect: Connect) -> None:
    dsn = stack.postgres.dsn
    old = connect(dsn, autocommit=True)
    old.execute("SELECT 1")
    working = connect(dsn)
    working.execute("SELECT 1")
    age = "SELECT extract(epoch FROM clock_timestamp() - state_change) FROM pg_stat_activity"
    its_age = f"{age} WHERE pid = {old.info.backend_pid}"
    wait_until("it to be old", lambda: ask(stack.postgres.admin_dsn, its_age) > 0.5, timeout_s=5)
    young = connect(dsn, autocommit=True)
    young.execute("SELECT 1")
    assert stack.terminate_sessions("idle", 0.4) >= 1
    wait_until("the old one to be cut", lambda: is_cut(old), timeout_s=5)
    assert not is_cut(young)
    assert not is_cut(working)
    wait_until("logins to work again", lambda: serves(stack), timeout_s=10)


def test_there_is_no_pgbouncer_to_change(stack: Stack) -> None:
    assert (stack.pgbouncer, stack.pgbouncer_dsn) == (None, None)
    with pytest.raises(UsageError, match="there is no PgBouncer"):
        stack.set_pgbouncer(default_pool_size=10)


def test_who_blocks_others_is_ended_whoever_it_is(stack: Stack, connect: Connect) -> None:
    dsn, admin_dsn = stack.postgres.dsn, stack.postgres.admin_dsn
    lock = "LOCK TABLE users IN ACCESS EXCLUSIVE MODE"
    recorder = connect(admin_dsn, application_name=sessions.RECORDER)
    recorder.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
    blocking = connect(admin_dsn)
    blocking.execute(lock)
    assert stack.terminate_sessions("blocking", 0.0) == 0, "nobody waits for them"
    waiters = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND waitstart IS NOT NULL"
    with ThreadPoolExecutor(2) as pool:
        users = pool.submit(ask, dsn, "SELECT count(*) FROM users")
        others = pool.submit(ask, dsn, "SELECT count(*) FROM sessions")
        wait_until("both to wait", lambda: ask(admin_dsn, waiters) == 2, timeout_s=5)
        assert stack.terminate_sessions("blocking", 600.0) == 0
        assert stack.terminate_sessions("blocking", 0.0) == 1
        assert users.result(5) == DATABASE.users
        assert not others.done()
        recorder.rollback()
        others.result(5)


def test_a_database_that_is_away_ends_no_session(stack: Stack) -> None:
    with ThreadPoolExecutor(1) as pool:
        restart = pool.submit(stack.restart_database, down_s=1.0)
        wait_until("it to be away", lambda: not stack.postgres.child.alive(), timeout_s=5)
        with pytest.raises(InfrastructureError, match="no session could be ended"):
            stack.terminate_sessions("idle", 0.0)
        with pytest.raises(InfrastructureError, match="could not connect"), stack.locked_users():
            raise AssertionError("there was nothing to lock")
        restart.result(20)
    wait_until("logins to work again", lambda: serves(stack), timeout_s=10)


# -- a lock ------------------------------------------------------------------------------------


def lock_holders(stack: Stack) -> int:
    held = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
    migration = f"{held} WHERE mode = 'AccessExclusiveLock' AND application_name = 'migration'"
    return int(ask(stack.postgres.admin_dsn, f"{migration} AND granted AND relation IS NOT NULL"))


def test_nobody_reads_the_users_while_they_are_locked(stack: Stack) -> None:
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(log_in(stack, 3).status_code))
    with stack.locked_users():
        assert lock_holders(stack) == 1
        client.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_until(
            "the login to wait", lambda: ask(stack.postgres.admin_dsn, waits) == 1, timeout_s=5
        )
        assert answers == []
    client.join(10)
    assert answers == [200]
    assert lock_holders(stack) == 0


def test_a_migration_that_somebody_ended_is_over_quietly(stack: Stack) -> None:
    with stack.locked_users():
        client = threading.Thread(target=lambda: log_in(stack, 4))
        client.start()
        wait_until("it to be ended", lambda: stack.terminate_sessions("blocking", 0.0), timeout_s=5)
        client.join(10)
        assert serves(stack)
    assert lock_holders(stack) == 0


def test_the_lock_is_tried_again_and_not_for_ever(
    stack: Stack, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = connect(stack.postgres.admin_dsn)
    reader.execute("SELECT count(*) FROM users")
    monkeypatch.setattr(sessions, "LOCK_ATTEMPT_S", 1)
    monkeypatch.setattr(sessions, "LOCK_WITHIN_S", 1.5)
    began = time.monotonic()
    with pytest.raises(InfrastructureError, match="could not be locked"), stack.locked_users():
        raise AssertionError("it was locked beside a reader")
    assert time.monotonic() - began >= 2, "a second attempt"
    assert serves(stack), "no attempt is left in the queue"
    monkeypatch.setattr(sessions, "LOCK_WITHIN_S", 10.0)
    freed = threading.Timer(1.2, reader.rollback)
    freed.start()
    with stack.locked_users():
        assert lock_holders(stack) == 1
    freed.join()
