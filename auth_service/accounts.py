"""Users and sessions: the schema, all SQL of the service, and the seeding of both.

``python -m auth_service.accounts --users N`` makes the schema anew and fills it, with the settings
of the service (``AUTH_DATABASE_URL``, ``AUTH_HASH__*``); with ``--keep`` only where it is needed.
"""

from __future__ import annotations

import argparse
import hashlib
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

    from auth_service.pool import Connection
    from auth_service.settings import HashSettings

DISTINCT_PASSWORDS = 8
EXIT_INFRASTRUCTURE = 4

SCHEMA = """
DROP TABLE IF EXISTS sessions, users;
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz
);
CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);
"""


@dataclass(frozen=True, slots=True)
class User:
    """Who logs in, as the database knows them."""

    id: int
    username: str
    password_hash: str


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that is valid now, for ``expires_in_s`` more seconds."""

    username: str
    expires_in_s: float


def new_token() -> str:
    """A session's token: 256 random bits, safe in a header."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """What is stored of a token. Its 256 random bits need no slow hash: nobody can guess them."""
    return hashlib.sha256(token.encode()).digest()


async def find_user(connection: Connection, username: str) -> User | None:
    """The user of that name, if there is one."""
    row = await connection.fetch_one(
        "SELECT id, username, password_hash FROM users WHERE username = :username",
        {"username": username},
    )
    return None if row is None else User(*row)


async def open_session(connection: Connection, user: User, token: str, ttl_s: float) -> None:
    """Store a session of ``user`` for ``ttl_s`` seconds and note the login."""
    await connection.execute(
        "INSERT INTO sessions (token_hash, user_id, expires_at)"
        " VALUES (:token_hash, :user_id, now() + make_interval(secs => :ttl_s))",
        {"token_hash": token_hash(token), "user_id": user.id, "ttl_s": ttl_s},
    )
    await connection.execute(
        "UPDATE users SET last_login_at = now() WHERE id = :user_id", {"user_id": user.id}
    )


async def work(connection: Connection, work_ms: float) -> None:
    """Keep the server busy with this connection for ``work_ms``: stands for slow queries."""
    if work_ms > 0:
        await connection.fetch_one("SELECT pg_sleep(:seconds)", {"seconds": work_ms / 1000})


async def find_session(connection: Connection, token: str) -> OpenSession | None:
    """The session of that token, unless it has expired."""
    row = await connection.fetch_one(
        "SELECT users.username,"
        " CAST(extract(epoch FROM sessions.expires_at - now()) AS double precision)"
        " FROM sessions JOIN users ON users.id = sessions.user_id"
        " WHERE sessions.token_hash = :token_hash AND sessions.expires_at > now()",
        {"token_hash": token_hash(token)},
    )
    return None if row is None else OpenSession(*row)


async def close_session(connection: Connection, token: str) -> bool:
    """End the session of that token; False if there was none that is still valid."""
    ended = await connection.execute(
        "DELETE FROM sessions WHERE token_hash = :token_hash AND expires_at > now()",
        {"token_hash": token_hash(token)},
    )
    return ended > 0


async def count_sessions(connection: Connection, user: User) -> int:
    """How many sessions of ``user`` are stored, expired ones included."""
    row = await connection.fetch_one(
        "SELECT count(*) FROM sessions WHERE user_id = :user_id", {"user_id": user.id}
    )
    return 0 if row is None else int(row[0])


async def is_known(connection: Connection, username: str) -> bool:
    """Whether there is a user of that name."""
    row = await connection.fetch_one(
        "SELECT 1 FROM users WHERE username = :username", {"username": username}
    )
    return row is not None


async def ping(connection: Connection) -> None:
    """The cheapest question that a live database answers."""
    await connection.fetch_one("SELECT 1")


def seeded_username(number: int) -> str:
    """The name of seeded user ``number``, from 0."""
    return f"user{number:06d}"


def seeded_password(number: int) -> str:
    """The password of seeded user ``number``, from 0."""
    return f"correct horse {number % DISTINCT_PASSWORDS}"


def seed(
    connection: psycopg.Connection[tuple[object, ...]], users: int, hash: HashSettings
) -> None:
    """Drop what is there, create the schema and fill it with ``users`` users, all or nothing.

    The users share 8 passwords and 8 hashes, salts included. That is no way to store passwords. It
    is there because honest seeding pays for one hash a user, ten minutes of processor time for
    20,000, before every run. A login costs the same as with a hash of one's own: verifying depends
    on the costs written in the hash, not on who else has it.
    """
    from auth_service.passwords import password_hasher

    hasher = password_hasher(hash)
    hashes = [hasher.hash(seeded_password(number)) for number in range(DISTINCT_PASSWORDS)]
    with connection.transaction():
        connection.execute(SCHEMA)
        with connection.cursor().copy("COPY users (username, password_hash) FROM STDIN") as copy:
            for number in range(users):
                copy.write_row((seeded_username(number), hashes[number % DISTINCT_PASSWORDS]))
        # After the rows: building an index once is cheaper than keeping one up to date.
        connection.execute("CREATE UNIQUE INDEX users_username ON users (username)")
        # Or the planner works with an empty table's statistics until autovacuum comes by.
        connection.execute("ANALYZE users, sessions")


def count_users(connection: psycopg.Connection[tuple[object, ...]]) -> int | None:
    """How many users are stored; None where there is no schema yet."""
    found = connection.execute("SELECT to_regclass('users')").fetchone()
    if found is None or found[0] is None:
        return None
    ((count,),) = connection.execute("SELECT count(*) FROM users").fetchall()
    assert isinstance(count, int)
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m auth_service.accounts``: exit code 0, 2 (bad input) or 4 (no database)."""
    import psycopg

    from auth_service.settings import Settings, load_or_exit

    parser = argparse.ArgumentParser(
        prog="python -m auth_service.accounts",
        description="Create the schema and seed users; drops what was there.",
    )
    parser.add_argument("--users", type=_count, required=True, metavar="N")
    parser.add_argument(
        "--keep", action="store_true", help="change nothing where there are N users already"
    )
    given = parser.parse_args(arguments)
    users: int = given.users
    settings = load_or_exit(Settings)
    began = perf_counter()
    try:
        with psycopg.connect(
            settings.database_url.get_secret_value(),
            connect_timeout=max(2, round(settings.connect_timeout_s)),  # libpq's smallest
            application_name="seeding",
        ) as connection:
            kept = bool(given.keep) and count_users(connection) == users
            if not kept:
                seed(connection, users, settings.hash)
    except psycopg.Error as error:
        reason = str(error).strip()
        for secret in settings.secrets:
            reason = reason.replace(secret, "***")
        print(f"cannot seed {settings.database_address}: {reason}", file=sys.stderr)
        return EXIT_INFRASTRUCTURE
    took_s = perf_counter() - began
    how = "kept" if kept else f"{took_s:.2f} s"
    print(f"{users} users in {settings.database_address}, {how}", file=sys.stderr)
    return 0


def _count(text: str) -> int:
    count = int(text)
    if not 0 <= count <= 1_000_000:  # user{i:06d} has six digits
        raise argparse.ArgumentTypeError("must be from 0 to 1000000")
    return count


if __name__ == "__main__":
    sys.exit(main())
