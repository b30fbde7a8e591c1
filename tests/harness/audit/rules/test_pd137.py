"""PD137: retries without a budget."""

from __future__ import annotations

from harness.audit.rules import pd137 as rule
from tests.harness.audit.chains import chain, finding, silent

CARRIED_PER_S = 2 * 10 / 0.05


def test_retries_that_the_pools_cannot_carry_are_found() -> None:
    found = finding(rule, chain(client={"attempts": 3}, peak_per_s=CARRIED_PER_S / 2))
    assert found.severity == "warning"
    assert "600 attempts" in found.message
    assert "carry 400" in found.message


def test_a_budget_is_clean() -> None:
    budget = {"attempts": 3, "retry_budget": 0.1}
    assert silent(rule, chain(client=budget, peak_per_s=CARRIED_PER_S / 2))


def test_what_the_pools_carry_with_all_retries_is_clean() -> None:
    assert silent(rule, chain(client={"attempts": 3}, peak_per_s=CARRIED_PER_S / 3))


def test_pools_that_do_not_carry_the_peak_itself_are_another_rules_matter() -> None:
    assert silent(rule, chain(client={"attempts": 3}, peak_per_s=CARRIED_PER_S * 1.1))
