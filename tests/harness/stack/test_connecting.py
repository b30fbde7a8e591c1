"""What a connection costs is set in time: iterations are found for it, and the service's alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness.incident import DatabaseConfig
from harness.stack import connecting
from harness.stack.connecting import DEFAULT_ITERATIONS, MOST_ITERATIONS, iterations_for
from harness.stack.postgres import EmbeddedPostgres

BARE_S, EACH_S = 0.002, 1e-6


def stored_iterations(admin: psycopg.Connection, role: str) -> int:
    """How often a role's password is hashed, as the server has it: ``SCRAM-SHA-256$N:…``."""
    row = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [role]).fetchone()
    assert row is not None
    return int(str(row[0]).partition("$")[2].partition(":")[0])


def test_the_service_pays_for_a_connection_and_nobody_else_does(tmp_path: Path) -> None:
    config = DatabaseConfig(users=1, connect_cost=0.06)
    server = EmbeddedPostgres.start(config, log=tmp_path / "postgres.log")
    try:
        psycopg.connect(server.dsn).close()
        with psycopg.connect(server.admin_dsn) as admin:
            assert server.scram_iterations > DEFAULT_ITERATIONS
            assert stored_iterations(admin, "auth") == server.scram_iterations
            assert stored_iterations(admin, "pooldrill_monitor") == DEFAULT_ITERATIONS
    finally:
        server.stop()


@pytest.fixture
def newcomer(
    embedded_postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> Iterator[psycopg.Connection]:
    """An administrator, and a role that connects on a machine of known speed."""
    with psycopg.connect(embedded_postgres.admin_dsn, autocommit=True) as admin:
        admin.execute("CREATE ROLE newcomer LOGIN")
        monkeypatch.setattr(
            connecting,
            "_connecting_s",
            lambda dsn: BARE_S + EACH_S * (stored_iterations(admin, "newcomer") - 1),
        )
        try:
            yield admin
        finally:
            admin.execute("DROP ROLE newcomer")


@pytest.mark.parametrize(
    ("cost_s", "iterations"),
    [
        (0.102, 100_000),
        (0.402, 400_000),
        (1e-6, DEFAULT_ITERATIONS),  # less than a connection costs anyway
        (1e6, MOST_ITERATIONS),
    ],
)
def test_iterations_are_what_the_cost_has_room_for(
    newcomer: psycopg.Connection, cost_s: float, iterations: int
) -> None:
    found = iterations_for(cost_s, newcomer, "newcomer", "a password", "")
    assert found == pytest.approx(iterations, abs=1)
