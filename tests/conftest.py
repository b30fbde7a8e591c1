"""Fixtures that more than one part's tests need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.incident import DatabaseConfig
from harness.stack.postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def embedded_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server for the whole session; 100 connections, 5 of them reserved."""
    log: Path = tmp_path_factory.mktemp("postgres") / "postgres.log"
    config = DatabaseConfig(users=1, max_connections=100, reserved_connections=5)
    server = EmbeddedPostgres.start(config, log=log)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres_dsn(embedded_postgres: EmbeddedPostgres) -> str:
    """The address of an empty database on a real server, for the role that owns it."""
    return embedded_postgres.dsn
