"""PD103: a pool that waits for longer than the gateway, or the worker."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness.audit.finding import Finding
from harness.audit.rules import pd103 as rule
from harness.audit.values import Value
from tests.harness.audit.chains import HERE, NOT_KNOWN, at, chain, finding, pool, silent, unknown


@pytest.mark.parametrize("timeout_s", [6.0, 30.0])
def test_a_wait_as_long_as_the_gateways_is_found(timeout_s: float) -> None:
    found = finding(rule, chain(pool(timeout_s=timeout_s)))
    assert found.severity == "error"
    assert f"may wait {timeout_s:g} s" in found.message
    assert "gives up after 6 s" in found.message


def test_a_shorter_wait_is_clean() -> None:
    assert silent(rule, chain(pool(timeout_s=5.9)))


def test_a_default_is_told_as_one() -> None:
    waits = pool(timeout_s=Value.default(30.0, "SQLAlchemy", HERE))
    assert "may wait 30 s (default of SQLAlchemy) for" in finding(rule, chain(waits)).message


def test_without_a_pool_nobody_waits() -> None:
    assert silent(rule, chain(pool(implementation="none", timeout_s=30.0)))


def test_with_a_connection_for_each_thread_nobody_waits() -> None:
    assert silent(rule, chain(pool(timeout_s=30.0, threads=10.0)))
    assert finding(rule, chain(pool(timeout_s=30.0, threads=11.0)))


def test_a_gateway_concerns_those_whom_it_serves() -> None:
    both = chain(pool(timeout_s=30.0))
    (work,), (edge,) = both.workloads, both.gateways
    quick = replace(work, name="quick", hosts=("quick",), pools=(pool(),))
    slow = replace(work, hosts=("slow",))
    both = replace(both, workloads=(slow, quick))
    assert silent(rule, replace(both, gateways=(replace(edge, upstreams=("quick",)),)))
    assert finding(rule, replace(both, gateways=(replace(edge, upstreams=("slow",)),)))


def test_a_worker_that_is_killed_first_is_found() -> None:
    killed = chain(pool(timeout_s=5.0), workload={"timeout_s": 5.0})
    found = finding(rule, killed)
    assert found.severity == "error"
    assert "killed after 5 s" in found.message
    assert silent(rule, chain(pool(timeout_s=5.0), workload={"timeout_s": 5.1}))


def test_it_says_what_it_lacks() -> None:
    assert "how long" in unknown(rule, chain(gateway={"timeout_s": NOT_KNOWN})).needs


def test_the_edit_is_below_what_is_waited_for() -> None:
    found = finding(rule, chain(pool(timeout_s=at(30.0, 5, "POOL_TIMEOUT"))))
    assert found.edit is not None
    assert (found.edit.old_text, float(found.edit.new_text) < 6) == ("30", True)


def test_nobody_outlasts_who_never_gives_up() -> None:
    endless = pool(timeout_s=math.inf)
    patient = chain(endless, gateway={"timeout_s": math.inf}, workload={"timeout_s": math.inf})
    assert silent(rule, patient)
    assert "may wait for ever for a connection" in finding(rule, chain(endless)).message


def test_it_points_at_the_wait_and_says_what_to_stay_below() -> None:
    waits = pool(timeout_s=at(30.0, 12, "POOL_TIMEOUT"), threads=40.0)
    found = finding(rule, chain(waits))
    assert (found.place.line, "below 6 s" in found.fix) == (12, True)
    assert found.edit is not None
    assert found.edit.new_text == "4"
    killed = chain(waits, gateway={"timeout_s": NOT_KNOWN}, workload={"timeout_s": 20.0})
    (worker,) = [each for each in rule.check(killed) if isinstance(each, Finding)]
    assert (worker.place.line, "below 20 s" in worker.fix) == (12, True)
    assert worker.edit is not None
    assert worker.edit.new_text == "16"
