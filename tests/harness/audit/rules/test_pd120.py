"""PD120: PgBouncer in session mode, with fewer connections than the pools."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from harness.audit.parts import PoolerDatabase, Target
from harness.audit.rules import pd120 as rule
from harness.audit.values import Place
from tests.harness.audit.chains import (
    NOT_KNOWN,
    at,
    chain,
    finding,
    pool,
    said,
    silent,
    unknown,
)

SESSION: dict[str, Any] = {
    "pool_mode": "session",
    "default_pool_size": at(8.0, 7, "default_pool_size"),
    "reserve_pool_size": 0.0,
}


def test_pools_that_keep_more_are_found() -> None:
    found = finding(rule, chain(pooler=SESSION))
    assert found.severity == "error"
    assert "keep 20 connections" in found.message
    assert "has 8 behind" in found.message
    assert found.place.line == 7


def test_what_fits_exactly_is_clean() -> None:
    assert silent(rule, chain(pooler={**SESSION, "default_pool_size": 20.0}))
    assert silent(rule, chain(pooler={**SESSION, "reserve_pool_size": 12.0}))
    assert silent(rule, chain(pooler={**SESSION, "default_pool_size": 10.0, "replicas": at(2)}))


def test_transaction_mode_is_clean() -> None:
    assert silent(rule, chain(pooler={**SESSION, "pool_mode": "transaction"}))


def test_a_pool_without_a_limit_is_found() -> None:
    found = finding(rule, chain(pool(max_overflow=math.inf), pooler=SESSION))
    assert "any number of connections" in found.message


def test_each_database_and_user_has_a_pool_of_its_own() -> None:
    shop = pool(size=4.0, target=Target(database=at("shop"), user=at("web")))
    jobs = pool(size=4.0, target=Target(database=at("shop"), user=at("job")))
    assert silent(rule, chain(shop, jobs, pooler=SESSION))
    assert "keep 16" in finding(rule, chain(shop, shop, pooler=SESSION)).message


def test_a_databases_own_size_and_limit_hold() -> None:
    shop = pool(size=10.0, target=Target(database=at("shop"), user=at("web")))
    line = PoolerDatabase(name="shop", place=Place("pgbouncer.ini"), pool_size=at(20.0, 2))
    assert silent(rule, chain(shop, pooler={**SESSION, "databases": (line,)}))
    limited = replace(line, max_connections=at(15.0, 2))
    found = finding(rule, chain(shop, pooler={**SESSION, "databases": (limited,)}))
    assert "has 15 behind" in found.message
    assert found.fix.startswith("Raise max_db_connections to 20")


def test_the_line_for_all_others_serves_the_rest() -> None:
    stock = pool(size=10.0, target=Target(database=at("stock"), user=at("web")))
    lines = (
        PoolerDatabase(name="shop", place=Place("pgbouncer.ini"), pool_size=at(1.0, 2)),
        PoolerDatabase(name="*", place=Place("pgbouncer.ini"), pool_size=at(20.0, 3)),
    )
    assert silent(rule, chain(stock, pooler={**SESSION, "databases": lines}))
    shop = pool(size=10.0, target=Target(database=at("shop"), user=at("web")))
    found = finding(rule, chain(shop, pooler={**SESSION, "databases": lines}))
    assert "has 1 behind" in found.message


def test_pools_that_connect_past_it_do_not_count() -> None:
    assert silent(rule, chain(pool(reaches="postgres"), pooler=SESSION))


def test_it_says_what_it_lacks() -> None:
    assert "pool_mode" in unknown(rule, chain(pooler={**SESSION, "pool_mode": NOT_KNOWN})).needs
    lacking = chain(pool(size=NOT_KNOWN), pooler=SESSION)
    assert "capacity" in unknown(rule, lacking).needs


def test_one_replica_may_be_too_many_already() -> None:
    lacking = chain(pool(size=9.0), workload={"replicas": NOT_KNOWN}, pooler=SESSION)
    assert "at least 9 connections" in finding(rule, lacking).message


def test_a_pooler_that_no_pool_reaches_is_nobodys_concern() -> None:
    lonely = chain(pool(reaches="postgres"), pooler={"pool_mode": NOT_KNOWN})
    assert not said(rule.check(lonely))


def test_each_replica_is_raised_by_its_part() -> None:
    found = finding(rule, chain(pooler={**SESSION, "replicas": at(2)}))
    assert "has 16 behind" in found.message
    assert "Raise default_pool_size to 10 within" in found.fix


def test_a_pool_without_a_limit_is_to_be_limited_first() -> None:
    found = finding(rule, chain(pool(max_overflow=math.inf), pooler=SESSION))
    assert "any number of connections" in found.message
    assert "inf" not in found.fix


def test_what_only_more_threads_would_open_is_a_warning() -> None:
    assert finding(rule, chain(pool(threads=4.0), pooler=SESSION)).severity == "warning"
    assert finding(rule, chain(pool(threads=5.0), pooler=SESSION)).severity == "error"


def test_only_what_is_too_small_is_to_be_raised() -> None:
    """Twenty connections are kept: a limit of twenty is enough for them, and one of 19 is not."""
    enough = finding(rule, chain(pooler={**SESSION, "max_db_connections": 20.0}))
    assert "Raise default_pool_size to 20" in enough.fix
    few = finding(rule, chain(pooler={**SESSION, "max_db_connections": 19.0}))
    assert "Raise default_pool_size and max_db_connections to 20" in few.fix
