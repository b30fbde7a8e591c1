"""PD142: pools that do not carry the peak."""

from __future__ import annotations

from dataclasses import replace

from harness.audit.rules import pd142 as rule
from harness.audit.values import Value
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown


def test_the_share_that_fails_is_what_the_formula_says() -> None:
    """1 − 1/ρ: 30 % at ρ = 1.43."""
    found = finding(rule, chain(peak_per_s=400 * 1.43))
    assert found.severity == "error"
    assert "ρ = 1.43, and about 30%" in found.message
    assert "29 connections" in found.fix


def test_what_is_carried_exactly_is_clean() -> None:
    assert silent(rule, chain(peak_per_s=400.0))


def test_a_workload_must_carry_its_own_share() -> None:
    even = chain(peak_per_s=300.0)
    (work,) = even.workloads
    uneven = replace(
        even,
        workloads=(
            replace(work, name="small", pools=(pool(size=1.0),), share=at(0.5)),
            replace(work, name="large", share=at(0.5)),
        ),
    )
    assert "the pools of small" in finding(rule, uneven).message


def test_it_says_what_it_lacks() -> None:
    nothing = Value.unknown("give --peak")
    assert "give --peak" in unknown(rule, chain(peak_per_s=nothing)).needs
    assert "--hold" in unknown(rule, chain(workload={"hold_s": NOT_KNOWN})).needs


def test_a_job_queues_worker_carries_no_logins() -> None:
    whole = chain(peak_per_s=500.0)
    (work,) = whole.workloads
    jobs = replace(work, name="jobs", serves=Value.default(False, "celery"))
    found = finding(rule, replace(whole, workloads=(work, jobs)))
    assert "= 400 logins a second" in found.message
    assert silent(rule, replace(whole, workloads=(jobs,)))
    unknown_jobs = replace(jobs, replicas=NOT_KNOWN)
    assert silent(rule, replace(whole, workloads=(work, unknown_jobs), peak_per_s=at(400.0)))


def test_no_more_connections_are_used_than_there_are_threads() -> None:
    found = finding(rule, chain(pool(threads=5.0), peak_per_s=300.0))
    assert "2 × 5 / 0.05 s = 200 logins a second" in found.message
    assert "15 connections at least, and some to spare, each with a thread" in found.fix
    assert silent(rule, chain(pool(threads=5.0), peak_per_s=200.0))


def test_what_is_scaled_to_nothing_carries_nothing() -> None:
    found = finding(rule, chain(workload={"replicas": at(0, 15)}))
    assert found.place.line == 15
    assert "every login fails" in found.message
    assert silent(rule, chain(workload={"replicas": 0}, peak_per_s=0.0))


def test_as_many_threads_as_connections_are_enough() -> None:
    found = finding(rule, chain(pool(threads=10.0, size=at(10.0, 12)), peak_per_s=500.0))
    assert "thread" not in found.fix
    assert found.place.line == 12


def test_without_a_pool_threads_are_what_carries() -> None:
    none = pool(implementation="none", size=NOT_KNOWN, threads=5.0)
    assert "2 × 5 / 0.05 s" in finding(rule, chain(none, peak_per_s=201.0)).message
    assert silent(rule, chain(none, peak_per_s=200.0))


BEHIND = {"pool_mode": "transaction", "reserve_pool_size": 0.0}


def test_a_pooler_with_fewer_connections_is_what_carries() -> None:
    """Five connections of PgBouncer's for twenty of the pools': 5 / 50 ms = 100 a second."""
    five = {**BEHIND, "default_pool_size": at(5.0, 17)}
    found = finding(rule, chain(pooler=five, peak_per_s=200.0))
    assert "pgbouncer carries 5 / 0.05 s = 100 logins a second" in found.message
    assert "ρ = 2.00, and about 50%" in found.message
    assert "Have 10 connections behind pgbouncer" in found.fix
    assert found.place.line == 17
    assert silent(rule, chain(pooler=five, peak_per_s=100.0))
    assert silent(rule, chain(pooler={**five, "default_pool_size": 20.0}, peak_per_s=400.0))
    assert silent(rule, chain(pooler={**five, "pool_mode": "session"}, peak_per_s=200.0))


def test_of_a_part_of_the_pools_nobody_knows_what_it_is_asked() -> None:
    past = (pool(name="reports"), pool(reaches="postgres"))
    five = {**BEHIND, "default_pool_size": 5.0}
    assert silent(rule, chain(*past, pooler=five, peak_per_s=200.0))


def test_pools_that_do_not_carry_it_are_said_first() -> None:
    five = {**BEHIND, "default_pool_size": 5.0}
    assert "the pools of auth carry" in finding(rule, chain(pooler=five, peak_per_s=401.0)).message
