"""PD114: a queue without a bound."""

from __future__ import annotations

import math

from harness.audit.rules import pd114 as rule
from tests.harness.audit.chains import chain, finding, pool, silent


def test_a_pool_that_lets_anybody_wait_is_found() -> None:
    unbounded = pool(implementation="psycopg-pool", max_waiting=math.inf)
    assert finding(rule, chain(unbounded)).severity == "note"


def test_a_bounded_queue_is_clean() -> None:
    assert silent(rule, chain(pool(implementation="psycopg-pool", max_waiting=50.0)))


def test_other_pools_have_no_such_setting() -> None:
    assert silent(rule, chain(pool(max_waiting=math.inf)))
