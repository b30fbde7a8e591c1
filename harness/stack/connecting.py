"""What opening a connection costs whoever opens it, set in processor time.

Whoever logs in with SCRAM hashes its password as many times as the server has stored with it. The
same count is 50 ms on one machine and 200 ms on another (libpq's HMAC is several times faster where
the processor has instructions for SHA-256), so that an incident which speaks of a count would be
another incident on each. It speaks of time instead, and the count is found where it runs.
"""

from __future__ import annotations

import time

import psycopg
from psycopg import sql

DEFAULT_ITERATIONS = 4096
"""PostgreSQL's own, and RFC 7677's least."""

PROBE_ITERATIONS = 20_000
MOST_ITERATIONS = 20_000_000
LEAST_EACH_S = 1e-8
"""Faster than any processor; a measurement below it was disturbed."""

PROBES = 40
PROBE_PAUSE_S = 0.02
"""The fastest of them counts: what else the machine does can only add to one.

A neighbour on the same core slows all that follow each other closely, which is why they are spread
over a second.
"""


def set_password(
    admin: psycopg.Connection, role: str, password: str, *, iterations: int = DEFAULT_ITERATIONS
) -> None:
    """Give a role its password, at that many iterations. Raises `psycopg.Error`."""
    admin.execute(f"SET scram_iterations = {iterations}")
    admin.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
    )
    admin.execute("RESET scram_iterations")


def iterations_for(
    cost_s: float, admin: psycopg.Connection, role: str, password: str, dsn: str
) -> int:
    """How many iterations make a connection of ``role`` to ``dsn`` cost ``cost_s`` seconds here.

    Seconds of the processor, in the thread that connects. The role's password stays, at another
    number of iterations. Linear between a connection with one iteration and one with many, at
    least PostgreSQL's default. Raises `psycopg.Error`.
    """
    set_password(admin, role, password, iterations=1)
    bare_s = _connecting_s(dsn)
    set_password(admin, role, password, iterations=PROBE_ITERATIONS)
    each_s = max((_connecting_s(dsn) - bare_s) / (PROBE_ITERATIONS - 1), LEAST_EACH_S)
    wanted = (cost_s - bare_s) / each_s
    return round(min(max(wanted, DEFAULT_ITERATIONS), MOST_ITERATIONS))


def _connecting_s(dsn: str) -> float:
    """Processor seconds of this thread that a connection takes, the fastest of several."""
    took = []
    for _ in range(PROBES):
        began = time.thread_time()
        psycopg.connect(dsn, connect_timeout=5).close()
        took.append(time.thread_time() - began)
        time.sleep(PROBE_PAUSE_S)
    return min(took)
