"""PD132: a statement without an end."""

from __future__ import annotations

import math

from harness.audit.rules import pd132 as rule
from tests.harness.audit.chains import chain, finding, pool, silent

FOREVER = {"statement_timeout_s": math.inf}


def test_no_limit_is_found() -> None:
    assert finding(rule, chain(server=FOREVER)).severity == "note"


def test_a_limit_is_clean() -> None:
    assert silent(rule, chain(server={"statement_timeout_s": 5.0}))


def test_what_is_not_said_is_not_guessed() -> None:
    assert silent(rule, chain())


def test_a_server_without_pools_is_nobodys_concern() -> None:
    assert silent(rule, chain(server=FOREVER, workload={"pools": ()}))


def test_pools_that_end_them_themselves_are_clean() -> None:
    own = pool(statement_timeout_s=10.0)
    assert silent(rule, chain(own, server=FOREVER))
    assert not silent(rule, chain(own, pool(), server=FOREVER)), "the other one has no end"


def test_a_pooler_that_ends_them_is_enough() -> None:
    """PD127 says what comes of it."""
    assert silent(rule, chain(server=FOREVER, pooler={"query_timeout_s": 30.0}))
    assert not silent(rule, chain(server=FOREVER, pooler={"query_timeout_s": math.inf}))


def test_a_lock_timeout_bounds_a_part_of_it() -> None:
    bare = finding(rule, chain(server=FOREVER))
    assert "behind a lock" in bare.message
    assert "lock_timeout below it" in bare.fix
    locked = finding(rule, chain(server={**FOREVER, "lock_timeout_s": 2.0}))
    assert "lock_timeout ends its wait for locks" in locked.message
    assert "lock_timeout" not in locked.fix


def test_what_ends_every_transaction_ends_a_statement() -> None:
    assert silent(rule, chain(server={**FOREVER, "transaction_timeout_s": 30.0}))
    assert silent(rule, chain(pool(transaction_timeout_s=30.0), server=FOREVER))
    assert not silent(rule, chain(server={**FOREVER, "idle_session_timeout_s": 30.0}))
