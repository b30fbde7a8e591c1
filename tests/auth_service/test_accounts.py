"""The schema, its seeding and the SQL, on a real database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from auth_service import accounts
from auth_service.passwords import password_hasher
from tests.auth_service.deployed_service import SEEDED_USERS
from tests.auth_service.fake_pool import CHEAP_HASH


@pytest.fixture
def connection(seeded_dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection to the seeded database."""
    with psycopg.connect(seeded_dsn, autocommit=True) as connection:
        yield connection


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m auth_service.accounts``, run to its end."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AUTH_")}
    return subprocess.run(
        [sys.executable, "-m", "auth_service.accounts", *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_seeded_users_follow_the_rule(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    """User number i has the name and the password that the load derives from i."""
    rows = connection.execute("SELECT username, password_hash FROM users ORDER BY id").fetchall()
    assert [name for name, _ in rows] == [f"user{i:06d}" for i in range(SEEDED_USERS)]
    for number, (_, password_hash) in enumerate(rows):
        assert isinstance(password_hash, str)
        assert password_hash.startswith("$argon2id$")
        assert password_hasher(CHEAP_HASH).verify(password_hash, f"correct horse {number % 8}")
    assert len({password_hash for _, password_hash in rows}) == 8


def test_the_schema_has_its_indexes(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    """A lookup that scans would make the pool look guilty of a missing index."""
    rows = connection.execute(
        "SELECT indexname, indexdef LIKE 'CREATE UNIQUE%' FROM pg_indexes"
        " WHERE tablename IN ('users', 'sessions')"
    ).fetchall()
    assert dict(rows) == {  # type: ignore[arg-type]
        "users_pkey": True,
        "users_username": True,
        "sessions_pkey": True,
        "sessions_user_id": False,
        "sessions_expires_at": False,
    }


def test_seeding_drops_what_was_there_and_nothing_else(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    """Every run starts from the same tables; another's tables are not touched."""
    connection.execute("CREATE SCHEMA seeding")
    try:
        connection.execute("SET search_path TO seeding")
        connection.execute("CREATE TABLE bystander ()")
        accounts.seed(connection, 5, CHEAP_HASH)
        connection.execute(
            "INSERT INTO sessions (token_hash, user_id, expires_at) SELECT '\\x00', id, now()"
            " FROM users LIMIT 1"
        )
        accounts.seed(connection, 3, CHEAP_HASH)
        counted = connection.execute(
            "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM sessions),"
            " (SELECT count(*) FROM bystander)"
        ).fetchone()
        assert counted == (3, 0, 0)
    finally:
        connection.execute("DROP SCHEMA seeding CASCADE")


def test_accounts_that_are_kept_stay_with_their_sessions(
    connection: psycopg.Connection[tuple[object, ...]], seeded_dsn: str
) -> None:
    """A stack that is started again is not seeded again, unless it is asked for other users."""

    def seed(users: int) -> str:
        ended = command(
            "--keep",
            *("--users", str(users)),
            AUTH_DATABASE_URL=f"{seeded_dsn}?options=-csearch_path%3Dkept",
            AUTH_HASH__TIME_COST="1",
            AUTH_HASH__MEMORY_KIB="8",
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stderr

    def sessions() -> int:
        ((count,),) = connection.execute("SELECT count(*) FROM kept.sessions").fetchall()
        assert isinstance(count, int)
        return count

    connection.execute("CREATE SCHEMA kept")
    try:
        assert "kept" not in seed(5), "there was nothing to keep"
        connection.execute(
            "INSERT INTO kept.sessions (token_hash, user_id, expires_at)"
            " SELECT '\\x00', id, now() FROM kept.users LIMIT 1"
        )
        assert "kept" in seed(5)
        assert sessions() == 1
        assert "kept" not in seed(6)
        assert sessions() == 0
    finally:
        connection.execute("DROP SCHEMA kept CASCADE")


def test_seeding_does_not_wait_for_the_latency(seeded_dsn: str) -> None:
    """It stands for the cost of verifying; eight hours of it would end in the command's timeout."""
    ended = command(
        "--users",
        str(SEEDED_USERS),
        AUTH_DATABASE_URL=seeded_dsn,
        AUTH_HASH__TIME_COST="1",
        AUTH_HASH__MEMORY_KIB="8",
        AUTH_HASH__LATENCY_MS="3600000",
    )
    assert ended.returncode == 0, ended.stderr


def test_a_token_is_stored_as_its_hash() -> None:
    """Who reads the sessions table cannot use what is in it."""
    token = accounts.new_token()
    assert accounts.token_hash(token) != token.encode()
    assert len(accounts.token_hash(token)) == 32
    assert accounts.new_token() != token


def test_a_database_that_is_away_is_exit_code_4() -> None:
    """The message names the address and keeps the password."""
    ended = command(
        "--users", "1", AUTH_DATABASE_URL="postgresql://app:canary@127.0.0.1:1/accounts"
    )
    assert ended.returncode == 4
    assert "cannot seed 127.0.0.1:1/accounts" in ended.stderr
    assert "canary" not in ended.stderr + ended.stdout


@pytest.mark.parametrize("users", ["-1", "1000001", "many"])
def test_a_bad_count_is_exit_code_2(users: str) -> None:
    """Names have six digits, so there is a largest number of users."""
    ended = command(
        "--users", users, AUTH_DATABASE_URL="postgresql://app:canary@127.0.0.1:1/accounts"
    )
    assert ended.returncode == 2
    assert "--users" in ended.stderr
