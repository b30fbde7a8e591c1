"""PD129: PgBouncer tries again too late."""

from __future__ import annotations

from dataclasses import replace

from harness.audit.rules import pd129 as rule
from harness.audit.values import Value
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent


def test_the_default_outlasts_what_requests_are_waited_for() -> None:
    retry = Value.default(15.0, "PgBouncer")
    found = finding(rule, chain(pooler={"server_login_retry_s": retry}))
    assert found.severity == "note"
    assert "refuses its clients for 15 s" in found.message
    assert "PAUSE" in found.fix


def test_a_short_one_is_clean() -> None:
    assert silent(rule, chain(pooler={"server_login_retry_s": 6.0}))
    assert not silent(rule, chain(pooler={"server_login_retry_s": 6.1}))


def test_without_anybodys_patience_there_is_nothing_to_compare() -> None:
    lacking = chain(gateway={"timeout_s": NOT_KNOWN}, pooler={"server_login_retry_s": 15.0})
    assert silent(rule, lacking)
    assert not silent(rule, replace(lacking, slo_s=at(1.0)))


def test_a_pooler_that_no_pool_reaches_is_nobodys_concern() -> None:
    assert silent(rule, chain(pool(reaches="postgres"), pooler={"server_login_retry_s": 15.0}))


def test_nobody_waits_for_a_job_queues_worker() -> None:
    late = {"server_login_retry_s": 15.0}
    assert finding(rule, chain(pooler=late))
    jobs = chain(pooler=late, workload={"serves": False}, gateway={"timeout_s": NOT_KNOWN})
    assert silent(rule, replace(jobs, slo_s=at(1.0)))
