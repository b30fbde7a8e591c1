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
