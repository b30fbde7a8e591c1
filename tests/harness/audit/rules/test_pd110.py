"""PD110: last in, first out, and never checked."""

from __future__ import annotations

from harness.audit.rules import pd110 as rule
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent


def test_it_is_found_where_it_is_set() -> None:
    assert finding(rule, chain(pool(use_lifo=True, pre_ping=False))).severity == "warning"


def test_a_checked_or_recycled_pool_is_clean() -> None:
    assert silent(rule, chain(pool(use_lifo=True)))
    assert silent(rule, chain(pool(use_lifo=True, pre_ping=False, recycle_s=1800.0)))


def test_first_in_first_out_is_clean() -> None:
    assert silent(rule, chain(pool(pre_ping=False)))


def test_it_does_not_guess() -> None:
    assert silent(rule, chain(pool(use_lifo=True, pre_ping=NOT_KNOWN)))
