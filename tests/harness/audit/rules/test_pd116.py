"""PD116: a pool that waits for longer than a request may take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Use
from harness.audit.rules import pd116 as rule
from tests.harness.audit.chains import HERE, NOT_KNOWN, at, chain, finding, pool, silent, unknown


def within(slo_s: float, chain: Chain) -> Chain:
    return replace(chain, slo_s=at(slo_s, 1, "--slo"))


@pytest.mark.parametrize("slo_s", [0.5, 1.0])
def test_a_wait_as_long_as_the_objective_is_found(slo_s: float) -> None:
    found = finding(rule, within(slo_s, chain()))
    assert found.severity == "warning"
    assert f"answered within {slo_s:g} s" in found.message


def test_a_shorter_wait_is_clean() -> None:
    assert silent(rule, within(1.1, chain()))


def test_where_nobody_waits_there_is_nothing_to_say() -> None:
    assert silent(rule, within(0.5, chain(pool(implementation="none"))))
    assert silent(rule, within(0.5, chain(pool(threads=10.0))))
    assert silent(rule, within(0.5, chain(pool(timeout_s=NOT_KNOWN))))


def test_what_outlasts_the_gateway_is_another_rules_matter() -> None:
    assert silent(rule, within(5.0, chain(pool(timeout_s=6.0))))
    assert finding(rule, within(5.0, chain(pool(timeout_s=5.9))))


def test_a_pool_over_a_pool_is_another_rules_matter() -> None:
    over = chain(workload={"uses": (Use("pool-over-pool", HERE),)})
    assert silent(rule, within(0.5, over))


def test_it_says_what_it_lacks() -> None:
    assert "--slo" in unknown(rule, chain()).needs


def test_a_job_queues_worker_answers_nobody() -> None:
    assert silent(rule, within(0.5, chain(workload={"serves": False})))
