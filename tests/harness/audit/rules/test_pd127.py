"""PD127: a query that PgBouncer ends, and the server does not."""

from __future__ import annotations

import math

import pytest

from harness.audit.rules import pd127 as rule
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown

CUT = {"query_timeout_s": 10.0}


@pytest.mark.parametrize(("ends_s", "shown"), [(math.inf, "never"), (10.0, "after 10 s")])
def test_a_server_that_goes_on_is_found(ends_s: float, shown: str) -> None:
    found = finding(rule, chain(pooler=CUT, server={"statement_timeout_s": ends_s}))
    assert found.severity == "warning"
    assert shown in found.message


def test_a_server_that_ends_it_first_is_clean() -> None:
    assert silent(rule, chain(pooler=CUT, server={"statement_timeout_s": 9.0}))


def test_a_pools_own_timeout_holds_over_the_servers() -> None:
    own = pool(statement_timeout_s=5.0)
    assert silent(rule, chain(own, pooler=CUT, server={"statement_timeout_s": math.inf}))


def test_without_a_query_timeout_there_is_nothing_to_say() -> None:
    endless = {"query_timeout_s": math.inf}
    assert silent(rule, chain(pooler=endless, server={"statement_timeout_s": math.inf}))


def test_it_says_what_it_lacks() -> None:
    lacking = chain(pooler=CUT, server={"statement_timeout_s": NOT_KNOWN})
    assert "statement_timeout of auth" in unknown(rule, lacking).needs


def test_a_pool_that_is_not_known_hides_none_that_is() -> None:
    both = (pool(statement_timeout_s=NOT_KNOWN), pool(statement_timeout_s=20.0))
    assert "after 20 s" in finding(rule, chain(*both, pooler=CUT)).message


def test_the_longest_is_told_and_the_place_is_pgbouncers() -> None:
    both = (pool(statement_timeout_s=20.0), pool(statement_timeout_s=30.0))
    cut = {"query_timeout_s": at(10.0, 19)}
    found = finding(rule, chain(*both, pooler=cut))
    assert "after 30 s" in found.message
    assert found.place.line == 19
