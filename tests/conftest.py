"""Fixtures that more than one part's tests need."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import EngineError
from harness.incident import DatabaseConfig
from harness.stack import Engine
from harness.stack.postgres import EmbeddedPostgres
from tests.untrusted import pytest_collection_modifyitems as pytest_collection_modifyitems

NEEDED_PROGRAMS = {
    "prometheus": "prometheus",
    "pgbouncer": "pgbouncer",
    "browser": "chromium",
    "alertmanager": "amtool",
}
"""Markers of tests that need a program of the system's."""

SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
"""Where they are looked for: Debian has PgBouncer where a user's search path does not lead."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what lacks its program or engine, with the reason; in CI that is a failure."""
    for marker, program in NEEDED_PROGRAMS.items():
        if item.get_closest_marker(marker) is None or shutil.which(program, path=SEARCHED):
            continue
        _skip(f"{program} is not on PATH")
    if item.get_closest_marker("docker") and (why := why_no_engine()):
        _skip(why)


@functools.cache
def why_no_engine() -> str:
    """Why no container engine can be used; empty where one answers."""
    try:
        Engine.connect().close()
    except EngineError as error:
        return error.message
    return ""


def _skip(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


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
