"""PD122: more connections than PgBouncer takes."""

from __future__ import annotations

import math

from harness.audit.rules import pd122 as rule
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown

TAKES = {"max_client_conn": 100.0}


def test_its_default_is_too_few_for_large_pools() -> None:
    takes = at(100.0, 8, "max_client_conn")
    found = finding(rule, chain(pool(size=60.0), pooler={"max_client_conn": takes}))
    assert found.place.line == 8
    assert found.severity == "error"
    assert "open 120 connections" in found.message


def test_what_fits_exactly_is_clean() -> None:
    assert silent(rule, chain(pool(size=50.0), pooler=TAKES))
    assert silent(rule, chain(pool(size=100.0), pooler={**TAKES, "replicas": at(2)}))


def test_a_rolling_deploy_may_be_too_many() -> None:
    found = finding(rule, chain(pool(size=50.0), workload={"surge": 1.0}, pooler=TAKES))
    assert found.severity == "warning"
    assert "50 more" in found.message
    assert "150" in found.fix


def test_pools_that_connect_past_it_do_not_count() -> None:
    assert silent(rule, chain(pool(size=500.0, reaches="postgres"), pooler=TAKES))


def test_without_a_pooler_there_is_nothing_to_say() -> None:
    assert silent(rule, chain(pool(size=5000.0)))


def test_an_unlimited_pool_is_another_rules_matter() -> None:
    assert silent(rule, chain(pool(max_overflow=math.inf), pooler=TAKES))


def test_it_says_what_it_lacks() -> None:
    assert "max_client_conn" in unknown(rule, chain(pooler={"max_client_conn": NOT_KNOWN})).needs
    assert "capacity" in unknown(rule, chain(pool(size=NOT_KNOWN), pooler={})).needs


def test_one_replica_may_be_too_many_already() -> None:
    lacking = chain(pool(size=101.0), workload={"replicas": NOT_KNOWN}, pooler=TAKES)
    assert "at least 101 connections" in finding(rule, lacking).message


def test_each_replica_takes_so_many() -> None:
    found = finding(rule, chain(pool(size=101.0), pooler={**TAKES, "replicas": at(2)}))
    assert "takes 2 × 100:" in found.message
    assert "max_client_conn to 101" in found.fix


def test_what_only_more_threads_would_open_is_a_warning() -> None:
    assert finding(rule, chain(pool(size=60.0, threads=50.0), pooler=TAKES)).severity == "warning"
    assert finding(rule, chain(pool(size=60.0, threads=51.0), pooler=TAKES)).severity == "error"


def test_a_rolling_deploy_points_at_the_limit_too() -> None:
    takes = at(100.0, 8, "max_client_conn")
    surging = chain(pool(size=50.0), workload={"surge": 1.0}, pooler={"max_client_conn": takes})
    assert finding(rule, surging).place.line == 8
