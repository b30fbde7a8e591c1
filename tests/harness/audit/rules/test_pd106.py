"""PD106: a request holds one connection while it waits for another."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Use
from harness.audit.rules import pd106 as rule
from harness.audit.values import Place
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent, unknown

WHERE = Place("app/db.py", 12, "nested-checkout")


def nested(connections: int = 2, **changes: Any) -> Chain:
    uses = (Use("nested-checkout", WHERE, connections),)
    return chain(pool(**changes), workload={"uses": uses})


@pytest.mark.parametrize(("threads", "connections", "enough"), [(3, 4, 10), (8, 3, 17)])
def test_the_documented_formula_decides(threads: float, connections: int, enough: float) -> None:
    found = finding(rule, nested(connections, threads=threads, size=enough - 1))
    assert (found.severity, found.place) == ("error", WHERE)
    assert f"{threads} × {connections - 1} + 1 = {enough:g}" in found.message
    assert f"give the pool {enough:g} connections" in found.fix
    assert silent(rule, nested(connections, threads=threads, size=enough))


def test_overflow_counts() -> None:
    assert silent(rule, nested(threads=14.0, size=5.0, max_overflow=10.0))
    assert not silent(rule, nested(threads=15.0, size=5.0, max_overflow=10.0))


def test_without_a_limit_of_requests_no_pool_is_large_enough() -> None:
    found = finding(rule, nested(size=500.0, is_async=True))
    assert "no pool is large enough" in found.message
    assert "fewer than 500" in found.fix


def test_a_pool_without_a_limit_locks_nobody() -> None:
    assert silent(rule, nested(max_overflow=math.inf, is_async=True))
    assert silent(rule, nested(max_overflow=math.inf))


@pytest.mark.parametrize("implementation", ["none", "django", "unknown"])
def test_where_nobody_waits_nobody_is_locked(implementation: str) -> None:
    assert silent(rule, nested(implementation=implementation))


def test_one_connection_a_request_is_clean() -> None:
    assert silent(rule, chain(pool(threads=40.0)))


def test_it_says_what_it_lacks() -> None:
    assert "the capacity of auth" in unknown(rule, nested(size=NOT_KNOWN)).needs
    assert "the requests that auth works on" in unknown(rule, nested()).needs


def test_a_use_is_judged_by_the_pool_of_its_own_file() -> None:
    own = pool(place=Place("app/db.py", 3), size=100.0, threads=9.0)
    other = pool(size=1.0, threads=9.0)
    uses = (Use("nested-checkout", WHERE, 2),)
    assert silent(rule, chain(other, own, workload={"uses": uses}))
    assert not silent(rule, chain(other, workload={"uses": uses}))


def test_a_use_is_judged_by_the_pool_that_it_names() -> None:
    one = pool(name="engine", size=100.0, threads=9.0)
    other = pool(name="other", place=Place("app/db.py", 3), size=1.0, threads=9.0)
    uses = (Use("nested-checkout", WHERE, 2, pool="engine"),)
    assert silent(rule, chain(other, one, workload={"uses": uses}))


def test_so_many_may_be_let_in_that_one_connection_is_left() -> None:
    """Of 11 connections 5 requests of 3 have 10, and one can finish; 6 could lock."""
    found = finding(rule, nested(3, size=11.0, is_async=True))
    assert "fewer than 6 such requests" in found.fix
    assert silent(rule, nested(3, size=11.0, threads=5.0))
    assert finding(rule, nested(3, size=11.0, threads=6.0))
    assert "fewer than 2 such requests" in finding(rule, nested(2, size=2.0, is_async=True)).fix
    assert "such requests" not in finding(rule, nested(3, size=2.0, is_async=True)).fix


def test_one_connection_at_once_locks_nobody() -> None:
    assert silent(rule, nested(1, size=1.0, threads=40.0))
    assert silent(rule, nested(1, size=1.0, is_async=True))
