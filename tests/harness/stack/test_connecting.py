"""A connection costs the processor time it was said to cost, on whatever machine this is."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from harness.incident import DatabaseConfig
from harness.stack.connecting import DEFAULT_ITERATIONS, iterations_for
from harness.stack.postgres import EmbeddedPostgres

COST_S = 0.06


def connecting_s(dsn: str) -> float:
    """The least processor time of five connections."""
    took = []
    for _ in range(5):
        began = time.thread_time()
        psycopg.connect(dsn).close()
        took.append(time.thread_time() - began)
    return min(took)


def test_the_service_pays_for_a_connection_and_nobody_else_does(tmp_path: Path) -> None:
    config = DatabaseConfig(users=1, connect_cost=COST_S)
    server = EmbeddedPostgres.start(config, log=tmp_path / "postgres.log")
    try:
        assert server.scram_iterations > DEFAULT_ITERATIONS
        assert connecting_s(server.dsn) == pytest.approx(COST_S, rel=0.5)
        assert connecting_s(server.monitor_dsn) < COST_S / 2
    finally:
        server.stop()


def test_iterations_grow_with_the_cost(embedded_postgres: EmbeddedPostgres) -> None:
    password = "as it is"
    address = embedded_postgres.dsn.rpartition("@")[2]
    dsn = f"postgresql://newcomer:{password.replace(' ', '%20')}@{address}"
    with psycopg.connect(embedded_postgres.admin_dsn, autocommit=True) as admin:
        admin.execute("CREATE ROLE newcomer LOGIN")
        try:
            found = [
                iterations_for(cost_s, admin, "newcomer", password, dsn)
                for cost_s in (0.05, 0.2, 1e-6)
            ]
        finally:
            admin.execute("DROP ROLE newcomer")
    assert found[1] / found[0] == pytest.approx(4, rel=0.3)
    assert found[2] == DEFAULT_ITERATIONS
