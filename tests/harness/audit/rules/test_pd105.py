"""PD105: a queue before the threads."""

from __future__ import annotations

import math

import pytest

from harness.audit.rules import pd105 as rule
from harness.audit.values import Value
from tests.harness.audit.chains import chain, finding, pool, silent


@pytest.mark.parametrize("threads", [4.0, 10.0])
def test_a_pool_that_is_never_short_is_found(threads: float) -> None:
    assert finding(rule, chain(pool(threads=threads))).severity == "warning"


def test_a_pool_that_can_be_short_is_clean() -> None:
    assert silent(rule, chain(pool(threads=11.0)))


def test_it_says_where_the_threads_are_a_default() -> None:
    usual: Value[float] = Value.default(4.0, "AnyIO")
    said = finding(rule, chain(pool(threads=usual))).message
    assert "works on 4 requests at once (default of AnyIO) and has 10 connections" in said
    assert "default" not in finding(rule, chain(pool(threads=4.0))).message


def test_of_a_pool_in_which_nobody_waits_there_is_no_other_queue() -> None:
    assert silent(rule, chain(pool(threads=10.0, timeout_s=0.0)))


def test_without_a_limiter_there_is_nothing_to_say() -> None:
    assert silent(rule, chain())


def test_one_thread_is_a_note() -> None:
    found = finding(rule, chain(pool(threads=1.0)))
    assert found.severity == "note"
    assert "1 request at once" in found.message


def test_a_job_queues_worker_has_its_queue_elsewhere() -> None:
    assert silent(rule, chain(pool(threads=4.0), workload={"serves": False}))


def test_what_has_no_limit_or_no_pool_is_another_rules_matter() -> None:
    assert silent(rule, chain(pool(threads=4.0, max_overflow=math.inf)))
    assert silent(rule, chain(pool(threads=10.0, implementation="django")))
