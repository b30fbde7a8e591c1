"""PD126: fewer file descriptors than connections."""

from __future__ import annotations

from typing import Any

from harness.audit.parts import PoolerDatabase
from harness.audit.rules import pd126 as rule
from harness.audit.values import Place, Value
from tests.harness.audit.chains import at, chain, finding, silent, unknown

LARGE: dict[str, Any] = {
    "max_client_conn": 1000.0,
    "default_pool_size": 20.0,
    "reserve_pool_size": 0.0,
}


def test_the_documented_sum_is_found() -> None:
    """max_client_conn + pool_size × databases × users."""
    lines = tuple(PoolerDatabase(name=name, place=Place("p.ini", 2)) for name in "ab")
    asked = {**LARGE, "databases": lines, "users": at(3)}
    found = finding(rule, chain(pooler={**asked, "open_files": 1119.0}))
    assert found.severity == "error"
    assert "1000 clients and 120 connections" in found.message
    assert silent(rule, chain(pooler={**asked, "open_files": 1120.0}))


def test_a_user_of_the_databases_own_counts_once() -> None:
    line = PoolerDatabase(name="a", place=Place("p.ini", 2), user=at("web"))
    asked = {**LARGE, "databases": (line,), "users": at(30)}
    assert silent(rule, chain(pooler={**asked, "open_files": 1020.0}))


def test_it_says_what_it_lacks_where_the_usual_limit_is_too_low() -> None:
    lacking = chain(pooler={**LARGE, "max_client_conn": 1005.0})
    assert "file descriptors" in unknown(rule, lacking).needs
    assert silent(rule, chain(pooler={**LARGE, "max_client_conn": 1004.0}))


def test_a_default_asks_nobody() -> None:
    default = {**LARGE, "max_client_conn": Value.default(100.0, "PgBouncer")}
    assert silent(rule, chain(pooler=default))
    assert silent(rule, chain())


def test_what_bounds_a_database_bounds_its_descriptors() -> None:
    asked = {**LARGE, "users": at(30), "max_db_connections": 50.0}
    assert silent(rule, chain(pooler={**asked, "open_files": 1050.0}))
    assert finding(rule, chain(pooler={**asked, "open_files": 1049.0}))


def test_it_points_at_the_limit() -> None:
    files = at(1000.0, 9, "LimitNOFILE")
    assert finding(rule, chain(pooler={**LARGE, "open_files": files})).place.line == 9
