"""PD120: PgBouncer in session mode, with fewer connections than the pools."""

from __future__ import annotations

from harness.audit.rules import pd120 as rule
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent, unknown

SESSION = {"pool_mode": "session", "default_pool_size": 8.0, "reserve_pool_size": 0.0}


def test_pools_that_keep_more_are_found() -> None:
    found = finding(rule, chain(pooler=SESSION))
    assert found.severity == "error"
    assert "keep 20 connections" in found.message
    assert "has 8 behind" in found.message


def test_what_fits_exactly_is_clean() -> None:
    assert silent(rule, chain(pooler={**SESSION, "default_pool_size": 20.0}))
    assert silent(rule, chain(pooler={**SESSION, "reserve_pool_size": 12.0}))


def test_transaction_mode_is_clean() -> None:
    assert silent(rule, chain(pooler={**SESSION, "pool_mode": "transaction"}))


def test_it_says_what_it_lacks() -> None:
    assert "pool_mode" in unknown(rule, chain(pooler={**SESSION, "pool_mode": NOT_KNOWN})).needs
    lacking = chain(pool(size=NOT_KNOWN), pooler=SESSION)
    assert "capacity" in unknown(rule, lacking).needs
