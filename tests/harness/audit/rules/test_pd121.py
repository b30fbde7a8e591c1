"""PD121: PgBouncer may open more than the database grants."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from harness.audit.parts import PoolerDatabase, Target
from harness.audit.rules import pd121 as rule
from harness.audit.values import Place
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown

LARGE = pool(size=500.0)
OURS = Place("pgbouncer.ini", 2)


def line(name: str, **changes: Any) -> PoolerDatabase:
    """A line of ``[databases]``."""
    return replace(PoolerDatabase(name=name, place=OURS), **changes)


def pooler(size: float = 100.0, **changes: Any) -> dict[str, Any]:
    return {"default_pool_size": size, "reserve_pool_size": 0.0, **changes}


def test_one_pool_may_be_too_many() -> None:
    found = finding(rule, chain(LARGE, pooler={**pooler(), "default_pool_size": at(98.0, 7, "x")}))
    assert found.place.line == 7
    assert found.severity == "error"
    assert "may open 98 connections, and postgres grants 97" in found.message
    assert silent(rule, chain(LARGE, pooler=pooler(97.0)))


def test_the_reserve_counts() -> None:
    assert not silent(rule, chain(LARGE, pooler=pooler(97.0, reserve_pool_size=1.0)))


def test_a_pool_without_a_limit_is_found() -> None:
    """``default_pool_size = 0``, since PgBouncer 1.24; its clients are the bound then."""
    endless = chain(pool(max_overflow=math.inf), pooler=pooler(math.inf))
    assert "may open any number of connections" in finding(rule, endless).message
    assert silent(rule, chain(pool(size=10.0), pooler=pooler(math.inf)))


def test_databases_and_users_multiply() -> None:
    """Two databases of 20 for three users: 120 of 97."""
    pools = [
        pool(size=90.0, target=Target(database=at(name), user=at(user)))
        for name, user in (("a", "x"), ("b", "y"), ("a", "z"))
    ]
    both = (line("a"), line("b"))
    found = finding(rule, chain(*pools, pooler=pooler(20.0, databases=both)))
    assert "3 × 20 + 3 × 20 = 120" in found.message
    fixed = (line("a", user=at("x")), line("b"))
    assert silent(rule, chain(*pools, pooler=pooler(20.0, databases=fixed)))


def test_a_limit_for_the_database_bounds_it() -> None:
    assert silent(rule, chain(LARGE, pooler=pooler(500.0, max_db_connections=97.0)))
    own = (line("*", max_connections=at(97.0)),)
    assert silent(rule, chain(LARGE, pooler=pooler(500.0, databases=own)))


def test_a_line_for_all_others_stands_for_those_that_are_asked_for() -> None:
    lines = (line("shop"), line("*"))
    shop = pool(size=90.0, target=Target(database=at("shop")))
    stock = pool(size=90.0, target=Target(database=at("stock")))
    jobs = pool(size=90.0, target=Target(database=at("jobs")))
    assert silent(rule, chain(shop, pooler=pooler(97.0, databases=lines)))
    found = finding(rule, chain(shop, stock, jobs, pooler=pooler(40.0, databases=lines)))
    assert "40 + 2 × 40 = 120" in found.message
    assert silent(rule, chain(LARGE, pooler=pooler(48.0, databases=lines))), "one of each"


def test_its_replicas_multiply() -> None:
    found = finding(rule, chain(LARGE, pooler=pooler(50.0, replicas=at(2))))
    assert "2 × 50 = 100" in found.message


def test_clients_that_are_fewer_need_fewer() -> None:
    """PgBouncer opens a connection for a client that waits, and there are 20."""
    assert silent(rule, chain(pool(size=10.0), pooler=pooler(500.0)))


def test_users_that_may_come_are_a_note() -> None:
    listed = chain(pool(size=10.0), pooler=pooler(20.0, users=at(30), max_db_connections=math.inf))
    found = finding(rule, listed)
    assert found.severity == "note"
    assert "30 users" in found.message
    fitting = pooler(9.0, users=at(10), max_db_connections=math.inf)
    exact = chain(pool(size=9.0), pooler=fitting, server={"max_connections": 93.0})
    assert silent(rule, exact), "90 of 90"
    bounded = pooler(20.0, users=at(30), max_db_connections=50.0)
    assert silent(rule, chain(pool(size=10.0), pooler=bounded))


def test_without_a_pooler_there_is_nothing_to_say() -> None:
    assert silent(rule, chain(LARGE))


def test_it_says_what_it_lacks() -> None:
    assert "default_pool_size" in unknown(rule, chain(LARGE, pooler={})).needs
    lacking = chain(LARGE, pooler=pooler(), server={"max_connections": NOT_KNOWN})
    assert "the connections of postgres" in unknown(rule, lacking).needs


def test_what_only_more_threads_would_ask_for_is_a_warning() -> None:
    few = pool(size=500.0, threads=40.0)
    assert finding(rule, chain(few, pooler=pooler(100.0))).severity == "warning"
    more = pool(size=500.0, threads=49.0)
    assert finding(rule, chain(more, pooler=pooler(100.0))).severity == "error"


def test_threads_that_the_server_has_room_for_are_a_warning() -> None:
    exactly = pool(size=500.0, threads=50.0)
    room = {"max_connections": 103.0}
    assert finding(rule, chain(exactly, pooler=pooler(101.0), server=room)).severity == "warning"


def test_a_limit_is_each_instances_own() -> None:
    alone = finding(rule, chain(LARGE, pooler=pooler(98.0)))
    assert "all databases together have 97" in alone.fix
    twice = finding(rule, chain(LARGE, pooler=pooler(50.0, replicas=at(2))))
    assert "all databases of all instances together" in twice.fix
    whole = chain(LARGE, pooler=pooler(50.0))
    other = replace(whole.poolers[0], name="second", reaches="postgres")
    both = replace(
        whole,
        poolers=(replace(whole.poolers[0], reaches="postgres"), other),
        workloads=(
            replace(
                whole.workloads[0],
                pools=(replace(LARGE, reaches="pgbouncer"), replace(LARGE, reaches="second")),
            ),
        ),
    )
    assert "all databases of all instances together" in finding(rule, both).fix


def test_it_counts_for_itself_where_its_clients_are_not_known() -> None:
    nobody = chain(pool(reaches="postgres", size=1.0), pooler=pooler(98.0))
    assert "may open 98" in finding(rule, nobody).message
    some = chain(pool(size=10.0, max_overflow=NOT_KNOWN), pooler=pooler(98.0))
    assert "may open 98" in finding(rule, some).message


def test_more_than_there_are_at_all_is_too_many_whatever_is_kept_back() -> None:
    kept = {"reserved": NOT_KNOWN}
    found = finding(rule, chain(LARGE, pooler=pooler(98.0), server=kept))
    assert "grants 97 at the most" in found.message
    assert (
        "connections of postgres"
        in unknown(rule, chain(LARGE, pooler=pooler(97.0), server=kept)).needs
    )
    assert unknown(rule, chain(LARGE, pooler=pooler(98.0), server={"max_connections": NOT_KNOWN}))
