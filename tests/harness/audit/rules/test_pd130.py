"""PD130: prepared statements that nobody keeps track of."""

from __future__ import annotations

import pytest

from harness.audit.rules import pd130 as rule
from harness.audit.values import Value
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown

PREPARES = pool(prepared_statements=True)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_without_them_is_found(mode: str) -> None:
    broken = chain(PREPARES, pooler={"pool_mode": mode, "max_prepared_statements": 0.0})
    found = finding(rule, broken)
    assert found.severity == "error"
    assert f"in {mode} mode" in found.message


def test_a_pooler_that_keeps_track_is_clean() -> None:
    default = Value.default(200.0, "PgBouncer 1.24")
    tracked = {"pool_mode": "transaction", "max_prepared_statements": default}
    assert silent(rule, chain(PREPARES, pooler=tracked))


def test_session_mode_is_clean() -> None:
    session = {"pool_mode": "session", "max_prepared_statements": 0.0}
    assert silent(rule, chain(PREPARES, pooler=session))


def test_a_driver_that_prepares_nothing_is_clean() -> None:
    off = {"pool_mode": "transaction", "max_prepared_statements": 0.0}
    assert silent(rule, chain(pool(prepared_statements=False), pooler=off))
    assert silent(rule, chain(pool(prepared_statements=NOT_KNOWN), pooler=off))
    assert silent(rule, chain(pool(prepared_statements=True, reaches="postgres"), pooler=off))


def test_it_says_what_it_lacks() -> None:
    lacking = {"pool_mode": "transaction", "max_prepared_statements": NOT_KNOWN}
    assert "max_prepared_statements" in unknown(rule, chain(PREPARES, pooler=lacking)).needs


def test_it_points_at_where_it_is_turned_off() -> None:
    off = at(0.0, 9, "max_prepared_statements")
    between = {"pool_mode": "transaction", "max_prepared_statements": off}
    found = finding(rule, chain(pool(prepared_statements=True), pooler=between))
    assert found.place.line == 9
