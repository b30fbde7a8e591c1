"""Drops a schema of ours from a database of the user's, with all it holds.

A plain script as well, for the guard to run when the harness was killed:
``python -P schema_removal.py FILE``, where the file has the database's address in its first line
and the schema's name in its second. The address has a password in it, and any user of the machine
can read the words of a command.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

CONNECT_S = 3
ATTEMPT_MS = 1000
PAUSE_S = 0.3
BEHIND_THE_HARNESS_S = 15.0


def drop_schema(dsn: str, schema: str, within_s: float) -> None:
    """Drop it, ending the sessions that hold something of it; once it is gone nothing happens.

    Raises `psycopg.Error` when that did not work within ``within_s`` seconds, tried again and
    again meanwhile.
    """
    given = conninfo_to_dict(dsn).get("options") or ""
    options = f"{given} -c lock_timeout={ATTEMPT_MS}".strip()
    deadline = time.monotonic() + within_s
    while True:
        try:
            with psycopg.connect(
                dsn, autocommit=True, connect_timeout=CONNECT_S, options=options
            ) as connection:
                connection.execute(_END_HOLDERS, [schema])
                connection.execute(
                    sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))
                )
        except psycopg.Error:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_S)
        else:
            return


# Our service's last statements: a login that waits for its work holds the users' table.
_END_HOLDERS = """
    SELECT pg_terminate_backend(pid) FROM (
        SELECT DISTINCT pid FROM pg_locks JOIN pg_class ON pg_class.oid = relation
        WHERE relnamespace = to_regnamespace(quote_ident(%s))
          AND locktype = 'relation' AND pid <> pg_backend_pid()
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) AS holders
"""


if __name__ == "__main__":
    address, name = Path(sys.argv[1]).read_text("utf-8").splitlines()
    drop_schema(address, name, BEHIND_THE_HARNESS_S)
