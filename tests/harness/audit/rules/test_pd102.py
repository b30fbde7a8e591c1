"""PD102: a pool without a limit."""

from __future__ import annotations

import math

from harness.audit.rules import pd102 as rule
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown


def test_an_overflow_without_a_limit_is_found_where_it_is_set() -> None:
    found = finding(rule, chain(pool(max_overflow=math.inf)))
    assert found.severity == "error"
    assert found.place.line == 3


def test_no_pool_at_all_is_found() -> None:
    assert finding(rule, chain(pool(implementation="none"))).severity == "warning"


def test_a_limited_pool_is_clean() -> None:
    assert silent(rule, chain(pool(size=500.0, max_overflow=500.0)))


def test_it_says_what_it_lacks() -> None:
    assert "capacity" in unknown(rule, chain(pool(max_overflow=NOT_KNOWN))).needs


def test_pgbouncer_is_the_pool_of_those_who_have_none() -> None:
    assert silent(rule, chain(pool(implementation="none"), pooler={}))


def test_threads_are_a_limit() -> None:
    none = finding(rule, chain(pool(implementation="none", threads=4.0)))
    assert none.severity == "note"
    assert "up to 4 at once" in none.message
    endless = finding(rule, chain(pool(max_overflow=math.inf, threads=1.0)))
    assert endless.severity == "note"
    assert "(1 connection a process)" in endless.message
    for threads in (1.0, NOT_KNOWN):
        said_at = pool(max_overflow=at(math.inf, 14), threads=threads)
        assert finding(rule, chain(said_at)).place.line == 14
