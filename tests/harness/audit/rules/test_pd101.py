"""PD101: more connections than the database grants."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Use
from harness.audit.rules import pd101 as rule
from harness.audit.values import Value
from tests.harness.audit.chains import HERE, NOT_KNOWN, at, chain, finding, pool, silent, unknown


def test_the_documented_sum_is_found() -> None:
    """3 replicas × 4 workers × 15 = 180 > 97."""
    broken = chain(pool(size=5.0, max_overflow=10.0), workload={"replicas": 3, "processes": 4})
    found = finding(rule, broken)
    assert found.severity == "error"
    assert "12 × 15 = 180" in found.message
    assert "grants 97" in found.message
    assert "max_connections to 183" in found.fix
    assert found.place.key == "POOL_SIZE"


def test_what_fits_exactly_is_clean() -> None:
    assert silent(rule, chain(pool(size=97.0), workload={"replicas": 1}))
    assert not silent(rule, chain(pool(size=98.0), workload={"replicas": 1}))


def test_reserved_connections_are_nobodys() -> None:
    full = chain(pool(size=97.0), workload={"replicas": 1}, server={"reserved": 1.0})
    assert "grants 96" in finding(rule, full).message


def test_a_pooler_between_is_another_rules_matter() -> None:
    assert silent(rule, chain(pool(size=500.0), pooler={}))


def test_threads_bound_a_pool_without_a_limit() -> None:
    endless = pool(max_overflow=math.inf, threads=40.0)
    found = finding(rule, chain(endless, workload={"processes": 2}))
    assert (found.severity, "4 × 40 = 160" in found.message) == ("error", True)
    assert silent(rule, chain(endless, workload={"processes": 1}))


def test_an_unlimited_pool_is_another_rules_matter() -> None:
    assert silent(rule, chain(pool(max_overflow=math.inf)))


def test_one_replica_may_be_too_many_already() -> None:
    """A lower bound is enough: nobody needs to know how many there are."""
    found = finding(rule, chain(pool(size=98.0), workload={"replicas": NOT_KNOWN}))
    assert found.severity == "error"
    assert "at least 1 × 98 = 98" in found.message
    fits = chain(pool(size=97.0), workload={"replicas": NOT_KNOWN})
    assert "the processes of auth" in unknown(rule, fits).needs


def test_a_program_that_may_never_run_is_not_added_to_the_others() -> None:
    """A script beside a service: nothing says that they run at the same time."""
    service = chain(pool(size=48.0))
    script = replace(service.workloads[0], name="import.py", replicas=NOT_KNOWN)
    both = replace(service, workloads=(*service.workloads, script))
    assert "the processes of import.py" in unknown(rule, both).needs
    larger = replace(script, pools=(pool(size=98.0),))
    found = finding(rule, replace(both, workloads=(*service.workloads, larger)))
    assert "at least 1 × 98 = 98" in found.message


def test_a_rolling_deploy_may_be_too_many() -> None:
    """2 × 40 = 80 of 97, and one replica more while a deploy lasts."""
    found = finding(rule, chain(pool(size=40.0), workload={"surge": 1.0}))
    assert found.severity == "warning"
    assert "up to 40 more" in found.message
    assert silent(rule, chain(pool(size=32.0), workload={"surge": 1.0}))


def test_each_server_grants_its_own_pools() -> None:
    one = chain(pool(size=60.0, reaches="postgres"))
    other = replace(one.servers[0], name="other")
    both = replace(one, servers=(*one.servers, other))
    assert "grants 97" in finding(rule, both).message
    spread = replace(
        one.workloads[0],
        pools=(pool(size=40.0, reaches="postgres"), pool(size=40.0, reaches="other")),
    )
    assert silent(rule, replace(both, workloads=(spread,)))


def test_which_server_a_pool_reaches_must_be_known() -> None:
    one = chain(pool(size=60.0))
    both = replace(one, servers=(*one.servers, replace(one.servers[0], name="other")))
    assert "which of the servers" in unknown(rule, both).needs


def test_a_pooler_takes_its_share() -> None:
    """40 through PgBouncer and 2 × 30 past it: 100 of 97."""
    past = pool(size=30.0, reaches="postgres")
    through = pool(size=30.0, reaches="pgbouncer")
    mixed = {"default_pool_size": 40.0}
    assert "2 × 30 + 40 = 100" in finding(rule, chain(past, through, pooler=mixed)).message
    assert silent(rule, chain(past, through, pooler={"default_pool_size": 37.0}))


def test_a_role_may_have_less_than_the_server_grants() -> None:
    limited = pool(size=12.0, role_limit=at(20.0, 31, "CONNECTION LIMIT"))
    found = finding(rule, chain(limited))
    assert found.severity == "error"
    assert found.place == limited.role_limit.place
    assert "2 × 12 = 24" in found.message
    assert "may have 20" in found.message
    assert silent(rule, chain(pool(size=10.0, role_limit=at(20.0))))


def test_a_live_server_shows_who_has_them() -> None:
    live = {"in_use": 90.0}
    full = chain(pool(size=60.0), server=live)
    (server,) = full.servers
    full = replace(full, servers=(replace(server, used_by="shop 80, cron 10"),))
    assert "now 90 are in use: shop 80, cron 10" in finding(rule, full).message


def test_it_says_what_it_lacks() -> None:
    assert "the processes of auth" in unknown(rule, chain(workload={"replicas": NOT_KNOWN})).needs
    assert "capacity" in unknown(rule, chain(pool(size=NOT_KNOWN))).needs
    neither = chain(pool(size=NOT_KNOWN), workload={"replicas": NOT_KNOWN})
    assert "the processes of auth" in unknown(rule, neither).needs
    lacking = chain(server={"max_connections": NOT_KNOWN})
    assert "the connections of postgres" in unknown(rule, lacking).needs


def test_what_only_more_threads_would_ask_for_is_a_warning() -> None:
    """A sync worker uses one of its fifteen connections: the budget is wrong, and holds so far."""
    sync = pool(size=5.0, max_overflow=10.0, threads=1.0)
    found = finding(rule, chain(sync, workload={"replicas": 3, "processes": 4}))
    assert found.severity == "warning"
    assert "12 × 15 = 180" in found.message
    assert "those that there are hold 12 at the most" in found.message
    many = pool(size=5.0, max_overflow=10.0, threads=9.0)
    assert finding(rule, chain(many, workload={"replicas": 3, "processes": 4})).severity == "error"


def test_a_pool_that_opens_its_connections_at_once_needs_no_threads() -> None:
    eager = pool(implementation="psycopg-pool", size=15.0, threads=1.0)
    assert finding(rule, chain(eager, workload={"replicas": 12})).severity == "error"


def test_a_session_that_outlives_its_request_is_held_by_no_thread() -> None:
    held = (Use("session-over-teardown", HERE),)
    work = {"replicas": 12, "uses": held}
    assert finding(rule, chain(pool(size=15.0, threads=1.0), workload=work)).severity == "error"


def test_the_fix_of_a_rolling_deploy_fits() -> None:
    """64 connections and half of them besides are 96 of 97; 65 would be 97.5."""
    work = {"replicas": 2, "processes": 6, "surge": 1.0}
    found = finding(rule, chain(pool(size=6.0), workload=work))
    assert "no more than 64 connections in all pools" in found.fix
    larger = finding(rule, chain(pool(size=10.0), workload=work))
    assert "max_connections to 183" in larger.fix


def test_what_is_scaled_to_nothing_asks_for_nothing() -> None:
    assert silent(rule, chain(pool(size=200.0), workload={"replicas": 0, "surge": 1.0}))


def test_the_fix_counts_what_is_kept_back_and_what_a_deploy_adds() -> None:
    """12 × 10 and 60 besides, with 3 and 5 kept: 188; of 92 two thirds are 61."""
    work = {"replicas": 2, "processes": 6, "surge": 1.0}
    found = finding(rule, chain(pool(size=10.0), workload=work, server={"reserved": 5.0}))
    assert "max_connections to 188" in found.fix
    assert "no more than 61 connections" in found.fix


PAST = pool(size=40.0, reaches="postgres", threads=30.0)
THROUGH = pool(name="reports", size=10.0)
BETWEEN = {"default_pool_size": 25.0, "reserve_pool_size": 0.0}


def test_a_pooler_beside_counts_with_what_it_opens() -> None:
    """The pool past it may hold 80, and PgBouncer 20 for the other: 100 of 97."""
    found = finding(rule, chain(PAST, THROUGH, pooler=BETWEEN))
    assert "2 × 40 + 2 × 10 = 100" in found.message
    assert "hold 80 at the most" in found.message
    assert found.severity == "warning"
    more = chain(replace(PAST, threads=at(39.0)), THROUGH, pooler=BETWEEN)
    assert finding(rule, more).severity == "error"


def test_a_pooler_beside_surges_with_its_clients() -> None:
    few = chain(replace(PAST, size=at(20.0, 3)), THROUGH, pooler=BETWEEN, workload={"surge": 1.0})
    full = replace(few, servers=(replace(few.servers[0], max_connections=at(92.0)),))
    found = finding(rule, full)
    assert "up to 30 more" in found.message
    assert found.place == at(0.0, 3).place
    assert silent(rule, replace(few, servers=(replace(few.servers[0], max_connections=at(93.0)),)))


def test_it_points_at_the_greatest_part() -> None:
    small = pool(name="small", size=at(10.0, 21))
    large = pool(name="large", size=at(50.0, 22))
    assert finding(rule, chain(small, large)).place.line == 22
    assert finding(rule, chain(large, small)).place.line == 22


def test_without_a_pool_each_thread_has_a_connection() -> None:
    """Forty threads of a FastAPI process and NullPool: 4 × 40 = 160 of 97."""
    none = pool(implementation="none", size=NOT_KNOWN, threads=40.0)
    found = finding(rule, chain(none, workload={"replicas": 4}))
    assert found.severity == "error"
    assert "4 × 40 = 160" in found.message
    assert silent(rule, chain(none))
    nothing = pool(implementation="none", size=NOT_KNOWN, max_overflow=10.0)
    assert "capacity" in unknown(rule, chain(nothing, workload={"replicas": 40})).needs


def test_without_a_server_it_cannot_be_told() -> None:
    """A managed database is in no file: that is said, and how it could be known."""
    alone = replace(chain(), servers=())
    assert "--dsn" in unknown(rule, alone).needs
    assert silent(rule, replace(alone, workloads=()))


def test_more_than_there_are_at_all_is_too_many_whatever_is_kept_back() -> None:
    kept = {"superuser_reserved": NOT_KNOWN}
    found = finding(rule, chain(pool(size=101.0), workload={"replicas": 1}, server=kept))
    assert "grants 100 at the most" in found.message
    edge = chain(pool(size=100.0), workload={"replicas": 1}, server=kept)
    assert "connections of postgres" in unknown(rule, edge).needs
    more = {**kept, "reserved": 4.0}
    assert "grants 96 at the most" in finding(rule, replace_server(edge, more)).message


def replace_server(of: Chain, changes: dict[str, Any]) -> Chain:
    return chain(*of.workloads[0].pools, workload={"replicas": 1}, server=changes)


USUAL: dict[str, Any] = {
    "size": Value.default(5.0, "SQLAlchemy", HERE),
    "max_overflow": Value.default(10.0, "SQLAlchemy", HERE),
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (USUAL, " (15 is SQLAlchemy's default)"),
        ({**USUAL, "max_overflow": Value.default(0.0, "Agroal", HERE)}, " (5 is SQLAlchemy's def"),
        ({**USUAL, "max_overflow": at(10.0)}, ", and postgres grants"),
        ({"size": at(15.0)}, ", and postgres grants"),
    ],
)
def test_a_number_that_nobody_has_set_is_said_to_be_a_default(
    changes: dict[str, Any], said: str
) -> None:
    found = finding(rule, chain(pool(**changes), workload={"replicas": 40}))
    assert f"connections{said}" in found.message
