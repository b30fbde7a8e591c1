"""Sessions of the database: who is logged in, which are to end, one that holds a lock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl
import psycopg

from harness.errors import InfrastructureError
from harness.recording import SESSIONS
from harness.stack.database import connect_timeout_s, with_options

RECORDER = "pooldrill-recorder"
"""The recorder's name in ``pg_stat_activity``; nobody ends its session."""

MIGRATION = "migration"
CONNECT_S = 5
LOCK_ATTEMPT_S = 2
LOCK_WITHIN_S = 10.0

Which = Literal["idle-in-transaction", "idle", "blocking"]
"""States of ``pg_stat_activity``; ``blocking`` are sessions of anybody that others wait for."""

STATES: dict[Which, tuple[str, ...]] = {
    "idle-in-transaction": ("idle in transaction", "idle in transaction (aborted)"),
    "idle": ("idle",),
}


@dataclass(frozen=True, slots=True)
class Service:
    """How the service's sessions are known: by a role of its own, or by its replicas' names."""

    role: str | None = None
    names: Sequence[str] = ()


def connect(dsn: str, **arguments: Any) -> psycopg.Connection[Any]:
    """A connection for the harness's own questions; raises `psycopg.Error`."""
    timeout_s = connect_timeout_s(dsn, CONNECT_S)
    return psycopg.connect(dsn, connect_timeout=timeout_s, **arguments)


def by_user(dsn: str) -> pl.DataFrame:
    """The users that have login sessions, and how many: ``user``, ``sessions``."""
    with connect(dsn) as connection:
        rows = connection.execute(_SESSIONS_BY_USER).fetchall()
    return pl.DataFrame(rows, schema=SESSIONS, orient="row")


def terminate(dsn: str, which: Which, older_s: float, service: Service) -> int:
    """End the service's sessions that have been in a state for ``older_s`` seconds at least.

    ``blocking`` are all sessions for which another one has waited that long, whosever they are,
    but for the recorder's. Returns how many were told to end. Raises `InfrastructureError`.
    """
    given: dict[str, Any] = {"older_s": older_s, "recorder": RECORDER}
    query = _END_BLOCKING
    if which != "blocking":
        query = _END_BY_STATE
        given |= {
            "states": list(STATES[which]),
            "role": service.role,
            "names": list(service.names),
        }
    try:
        with connect(dsn, autocommit=True) as connection:
            row = connection.execute(query, given).fetchone()
    except psycopg.Error as error:
        raise InfrastructureError(f"no session could be ended: {error}") from error
    assert row is not None, "an aggregate has a row"
    return int(row[0])


@contextmanager
def locked_users(dsn: str) -> Iterator[None]:
    """A migration's session holds the users' table for itself inside.

    It may be ended meanwhile, by whoever finds it: leaving is quiet all the same. Raises
    `InfrastructureError` when the lock was not to be had within ten seconds.
    """
    options = with_options(dsn, f"-c lock_timeout={LOCK_ATTEMPT_S}s")
    try:
        connection = connect(dsn, application_name=MIGRATION, options=options)
    except psycopg.Error as error:
        raise InfrastructureError(f"the migration could not connect: {error}") from error
    try:
        _lock(connection)
        yield
    finally:
        with suppress(psycopg.Error):
            connection.rollback()
        connection.close()


def _lock(connection: psycopg.Connection[Any]) -> None:
    """As careful migrations do: short attempts, because logins queue up behind each of them."""
    deadline = time.monotonic() + LOCK_WITHIN_S
    while True:
        try:
            connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        except psycopg.errors.LockNotAvailable as error:
            if time.monotonic() >= deadline:
                raise InfrastructureError(
                    f"the users' table could not be locked within {LOCK_WITHIN_S:g} s"
                ) from error
            connection.rollback()
        except psycopg.Error as error:
            raise InfrastructureError(f"the users' table could not be locked: {error}") from error
        else:
            return


# A user's name is `user` and its number, counted from 0.
_SESSIONS_BY_USER = """
    SELECT substr(users.username, 5)::integer AS number, count(*) AS sessions
    FROM sessions JOIN users ON users.id = sessions.user_id
    GROUP BY users.username ORDER BY number
"""

_END_BY_STATE = """
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND pid <> pg_backend_pid() AND application_name <> %(recorder)s
      AND (usename = %(role)s::text OR application_name = ANY (%(names)s::text[]))
      AND state = ANY (%(states)s::text[])
      AND state_change <= clock_timestamp() - make_interval(secs => %(older_s)s)
"""

# A lock's wait has no beginning yet for an instant after it began (documented of waitstart).
_END_BLOCKING = """
    WITH blocking AS (
        SELECT DISTINCT unnest(pg_blocking_pids(pid)) AS pid FROM pg_locks
        WHERE NOT granted
          AND coalesce(clock_timestamp() - waitstart, interval '0')
              >= make_interval(secs => %(older_s)s)
    )
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
    FROM pg_stat_activity JOIN blocking USING (pid)
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND pid <> pg_backend_pid() AND application_name <> %(recorder)s
"""
