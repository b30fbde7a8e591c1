"""PD137: retries without a budget."""

from __future__ import annotations

import math
from dataclasses import replace

from harness.audit.rules import pd137 as rule
from harness.audit.values import Value
from tests.harness.audit.chains import HERE, NOT_KNOWN, chain, finding, pool, silent, unknown

CARRIED_PER_S = 2 * 10 / 0.05


def test_retries_that_the_pools_cannot_carry_are_found() -> None:
    found = finding(rule, chain(client={"attempts": 3}, peak_per_s=CARRIED_PER_S / 2))
    assert found.severity == "warning"
    assert "clients try up to 3 times" in found.message
    assert "600 attempts" in found.message
    assert "carry 400" in found.message


def test_a_budget_is_clean() -> None:
    budget = {"attempts": 3, "retry_budget": 0.1}
    assert silent(rule, chain(client=budget, peak_per_s=CARRIED_PER_S / 2))


def test_what_the_pools_carry_with_all_retries_is_clean() -> None:
    assert silent(rule, chain(client={"attempts": 3}, peak_per_s=CARRIED_PER_S / 3))


def test_pools_that_do_not_carry_the_peak_itself_are_another_rules_matter() -> None:
    assert silent(rule, chain(client={"attempts": 3}, peak_per_s=CARRIED_PER_S * 1.1))


def test_a_gateways_retries_count_as_clients_do() -> None:
    tries = {"attempts": 3, "retry_budget": math.inf}
    found = finding(rule, chain(gateway=tries, peak_per_s=CARRIED_PER_S / 2))
    assert "edge tries a request up to 3 times" in found.message
    assert silent(rule, chain(gateway={**tries, "retry_budget": 0.2}, peak_per_s=200.0))
    assert silent(rule, chain(gateway={**tries, "retry_budget": NOT_KNOWN}, peak_per_s=200.0))


def test_the_peak_of_a_gateway_that_serves_some_is_not_known() -> None:
    whole = chain(gateway={"attempts": 3, "retry_budget": math.inf}, peak_per_s=200.0)
    (edge,), (work,) = whole.gateways, whole.workloads
    other = replace(work, name="other", hosts=("other",), pools=(pool(size=1.0),))
    some = replace(
        whole,
        gateways=(replace(edge, upstreams=("auth",)),),
        workloads=(replace(work, hosts=("auth",)), other),
    )
    assert silent(rule, some)


def test_what_is_missing_is_said_where_somebody_tries_again() -> None:
    tries = {"attempts": 3}
    assert "capacity" in unknown(rule, chain(pool(size=NOT_KNOWN), client=tries)).needs
    assert "--hold" in unknown(rule, chain(client=tries, workload={"hold_s": NOT_KNOWN})).needs
    assert "the peak" in unknown(rule, chain(client=tries, peak_per_s=NOT_KNOWN)).needs
    assert silent(rule, chain(pool(size=NOT_KNOWN)))


def test_a_budget_that_may_be_elsewhere_is_asked_for_where_it_matters() -> None:
    elsewhere = Value.unknown("a DestinationRule may limit it", HERE)
    tries = {"attempts": 3, "retry_budget": elsewhere}
    asked = unknown(rule, chain(gateway=tries, peak_per_s=CARRIED_PER_S / 2))
    assert "whether retries have a budget" in asked.needs
    assert silent(rule, chain(gateway=tries, peak_per_s=CARRIED_PER_S / 3))
