"""PD124: a reserve that comes too late, or never."""

from __future__ import annotations

import math
from dataclasses import replace

from harness.audit.rules import pd124 as rule
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent

LATE = {"reserve_pool_size": 5.0, "reserve_pool_timeout_s": 6.0, "default_pool_size": 8.0}


def test_a_reserve_after_the_gateways_patience_is_found() -> None:
    late = at(6.0, 8, "reserve_pool_timeout")
    found = finding(rule, chain(pooler={**LATE, "reserve_pool_timeout_s": late}))
    assert found.place.line == 8
    assert found.severity == "warning"
    assert "5 reserve connections after a wait of 6 s" in found.message


def test_a_reserve_that_is_turned_off_by_its_timeout_is_found() -> None:
    assert (
        "never" in finding(rule, chain(pooler={**LATE, "reserve_pool_timeout_s": math.inf})).message
    )


def test_a_reserve_in_time_is_clean() -> None:
    assert silent(rule, chain(pooler={**LATE, "reserve_pool_timeout_s": 5.9}))


def test_the_objective_counts_where_no_gateway_says_anything() -> None:
    none = chain(gateway={"timeout_s": NOT_KNOWN}, pooler=LATE)
    assert silent(rule, none)
    assert not silent(rule, replace(none, slo_s=at(2.0)))


def test_the_objective_counts_where_it_is_shorter() -> None:
    soon = chain(pooler={**LATE, "reserve_pool_timeout_s": 3.0})
    assert silent(rule, soon)
    assert "waited for 2 s" in finding(rule, replace(soon, slo_s=at(2.0))).message
    assert silent(rule, replace(soon, slo_s=at(9.0)))


def test_no_reserve_is_a_note_where_clients_may_queue() -> None:
    off = {"reserve_pool_size": 0.0, "default_pool_size": 8.0, "pool_mode": "transaction"}
    found = finding(rule, chain(pooler=off))
    assert found.severity == "note"
    assert "20 connections" in found.message
    assert silent(rule, chain(pool(size=4.0), pooler=off))
    assert silent(rule, chain(pooler={**off, "pool_mode": "session"})), "PD120 says so"


def test_it_does_not_guess() -> None:
    assert silent(rule, chain(pooler={**LATE, "reserve_pool_size": NOT_KNOWN}))
    assert silent(rule, chain())


def test_the_timeout_that_is_advised_is_in_time() -> None:
    soon = replace(chain(pooler=LATE), slo_s=at(0.8))
    assert "below 0.8 s: 0.4, say" in finding(rule, soon).fix


def test_all_that_it_has_is_held_against_its_clients() -> None:
    """Three replicas of eight have a connection for each of twenty clients; two have not."""
    off = {"reserve_pool_size": 0.0, "default_pool_size": 8.0}
    assert silent(rule, chain(pooler={**off, "replicas": at(3)}))
    assert "has 16 behind" in finding(rule, chain(pooler={**off, "replicas": at(2)})).message
    endless = finding(rule, chain(pool(max_overflow=math.inf), pooler=off))
    assert "any number of connections" in endless.message


def test_a_reserve_that_is_off_is_pointed_at() -> None:
    off = {"reserve_pool_size": at(0.0, 18), "default_pool_size": 8.0}
    assert finding(rule, chain(pooler=off)).place.line == 18
