"""PD131: idle in a transaction, for ever."""

from __future__ import annotations

import math

from harness.audit.rules import pd131 as rule
from tests.harness.audit.chains import at, chain, finding, pool, silent

FOREVER = {"idle_in_transaction_timeout_s": math.inf}


def test_no_limit_is_found() -> None:
    assert finding(rule, chain(server=FOREVER)).severity == "note"


def test_a_limit_is_clean() -> None:
    assert silent(rule, chain(server={"idle_in_transaction_timeout_s": 60.0}))


def test_what_is_not_said_is_not_guessed() -> None:
    assert silent(rule, chain())


def test_a_server_without_pools_is_nobodys_concern() -> None:
    assert silent(rule, chain(server=FOREVER, workload={"pools": ()}))


def test_pools_that_end_them_themselves_are_clean() -> None:
    own = pool(idle_in_transaction_timeout_s=10.0)
    assert silent(rule, chain(own, server=FOREVER))
    assert not silent(rule, chain(own, pool(), server=FOREVER)), "the other one has no end"


def test_a_pool_that_turns_the_servers_timeout_off_is_found() -> None:
    off = pool(idle_in_transaction_timeout_s=at(math.inf, 12, "options"))
    found = finding(rule, chain(off, server={"idle_in_transaction_timeout_s": 60.0}))
    assert found.place.line == 12
    assert found.edit is None, "what stands there is no setting of the server's"


def test_a_pooler_that_ends_them_is_enough() -> None:
    assert silent(rule, chain(server=FOREVER, pooler={"idle_transaction_timeout_s": 30.0}))
    assert not silent(rule, chain(server=FOREVER, pooler={"idle_transaction_timeout_s": math.inf}))


def test_a_session_that_is_forgotten_now_is_graver() -> None:
    live = {**FOREVER, "longest_idle_in_transaction_s": 340.0}
    found = finding(rule, chain(server=live))
    assert found.severity == "warning"
    assert "for 340 s now" in found.message
    brief = {**FOREVER, "longest_idle_in_transaction_s": 2.0}
    assert finding(rule, chain(server=brief)).severity == "note"


def test_what_ends_every_transaction_ends_an_idle_one() -> None:
    assert silent(rule, chain(server={**FOREVER, "transaction_timeout_s": 30.0}))
    assert not silent(rule, chain(server={**FOREVER, "transaction_timeout_s": math.inf}))
    assert silent(rule, chain(pool(transaction_timeout_s=30.0), server=FOREVER))
    assert silent(rule, chain(server=FOREVER, pooler={"transaction_timeout_s": 30.0}))


def test_what_ends_an_idle_session_ends_none_in_a_transaction() -> None:
    assert finding(rule, chain(server={**FOREVER, "idle_session_timeout_s": 30.0}))
