"""PD135: far more connections than the cores can serve."""

from __future__ import annotations

from harness.audit.rules import pd135 as rule
from harness.audit.values import Value
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent, unknown

FOUR = {"max_connections": 1000.0, "cores": 4.0}


def test_hundreds_on_a_few_cores_are_a_note() -> None:
    found = finding(rule, chain(pool(size=200.0), server=FOUR))
    assert found.severity == "note"
    assert "1000 connections on 4 cores" in found.message
    assert "8 to 16" in found.fix


def test_pools_that_do_not_use_them_are_clean() -> None:
    """20 a core are no matter yet."""
    assert silent(rule, chain(pool(size=40.0), server=FOUR))
    assert not silent(rule, chain(pool(size=41.0), server=FOUR))


def test_with_a_pooler_between_they_are_clean() -> None:
    assert silent(rule, chain(pool(size=200.0), server=FOUR, pooler={}))


def test_a_default_is_nobodys_choice() -> None:
    default = {**FOUR, "max_connections": Value.default(100.0, "PostgreSQL"), "cores": 1.0}
    assert silent(rule, chain(pool(size=200.0), server=default))


def test_it_says_what_it_lacks_where_there_are_many() -> None:
    lacking = {**FOUR, "cores": NOT_KNOWN}
    assert "the cores of postgres" in unknown(rule, chain(pool(size=300.0), server=lacking)).needs
    assert silent(rule, chain(pool(size=250.0), server=lacking)), "500 are not so many"


def test_what_no_thread_asks_for_is_not_busy() -> None:
    server = {"max_connections": 1000.0, "cores": 4.0}
    assert finding(rule, chain(pool(size=50.0, threads=41.0), server=server))
    assert silent(rule, chain(pool(size=50.0, threads=40.0), server=server))
