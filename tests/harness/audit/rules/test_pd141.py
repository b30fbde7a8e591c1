"""PD141: alerts that come after the first timeout."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Alert, Recording, Watch
from harness.audit.rules import pd141 as rule
from harness.audit.values import Place, Value
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown

CARRIED_PER_S = 2 * 10 / 0.05
PENDING = "max(db_client_connection_pending_requests) > 3"
RULES = Place("rules.yml", 4, "expr")


def alert(for_s: Any, expression: str = PENDING, name: str = "Waiting") -> Alert:
    value = for_s if isinstance(for_s, Value) else at(float(for_s), 5, "for")
    return Alert(name=name, place=RULES, expression=expression, for_s=value)


def watched(*alerts: Alert, load: float = 2.0, timeout_s: float = 30.0, **watch: float) -> Chain:
    """At ρ = 2 and T = 30 s the first request times out 60 s after the surge begins."""
    whole = chain(
        pool(timeout_s=timeout_s), peak_per_s=CARRIED_PER_S * load, gateway={"timeout_s": math.inf}
    )
    times: dict[str, Value[float]] = {name: at(value, 1, name) for name, value in watch.items()}
    found = Watch(place=Place("prometheus.yml"), **times)
    return replace(whole, alerts=alerts, watches=(found,) if watch else ())


QUICK = {"scrape_s": 15.0, "evaluation_s": 15.0, "group_wait_s": 0.0}


def test_the_documented_figures() -> None:
    """T·ρ/(ρ−1): 60 s at ρ = 2 and T = 30 s, 15 s at ρ = 1.5 and T = 5 s."""
    assert rule.first_timeout_s(watched(load=2.0, timeout_s=30.0)) == 60
    assert rule.first_timeout_s(watched(load=1.5, timeout_s=5.0)) == pytest.approx(15)


def test_an_alert_that_comes_later_is_found() -> None:
    found = finding(rule, watched(alert(120), **QUICK))
    assert found.severity == "warning"
    assert "times out after 60 s" in found.message
    assert "for 120 s + group_wait 0 s + scrape_interval 15 s" in found.message
    assert "comes after 150 s (for" in found.message
    assert (found.place.line, found.place.key) == (5, "for")


def test_the_last_moment_is_early_enough() -> None:
    assert silent(rule, watched(alert(30), **QUICK))
    assert finding(rule, watched(alert(31), **QUICK))


def test_group_wait_counts() -> None:
    assert finding(rule, watched(alert(30), **{**QUICK, "group_wait_s": 30.0}))


def test_the_earliest_alert_decides() -> None:
    assert silent(rule, watched(alert(600, name="Ticket"), alert(30), **QUICK))


@pytest.mark.parametrize(
    "expression",
    ["rate(db_client_connection_timeouts_total[1m]) > 0", "up == 0", "http_requests_waiting > 9"],
)
def test_alerts_that_cannot_lead_are_not_meant(expression: str) -> None:
    assert silent(rule, watched(alert(600, expression), **QUICK))


def test_pools_that_carry_the_peak_time_nobody_out() -> None:
    assert silent(rule, watched(alert(600), load=1.0, **QUICK))
    assert silent(rule, replace(watched(alert(600), **QUICK), peak_per_s=NOT_KNOWN))


def test_where_no_alert_could_come_first_the_timeout_is_another_rules_matter() -> None:
    assert silent(rule, watched(alert(30), timeout_s=10.0, **QUICK))


def test_for_alone_may_be_too_long() -> None:
    found = finding(rule, watched(alert(120)))
    assert "comes after 120 s (for 120 s)" in found.message


def test_it_says_what_it_lacks_where_the_defaults_would_be_too_slow() -> None:
    assert "group_wait" in unknown(rule, watched(alert(30))).needs
    assert silent(rule, watched(alert(30), timeout_s=200.0))


def test_the_groups_own_interval_holds() -> None:
    often = replace(alert(30), interval_s=at(5.0, 3, "interval"))
    assert silent(rule, watched(often, **{**QUICK, "evaluation_s": 60.0}))


def test_what_is_recorded_is_looked_into() -> None:
    whole = watched(alert(600, "pool:ratio > 0.8"), **QUICK)
    assert silent(rule, whole)
    recorded = Recording(name="pool:ratio", place=RULES, expression=PENDING)
    assert finding(rule, replace(whole, recordings=(recorded,)))


def test_the_gateways_patience_ends_a_request_as_well() -> None:
    """At ρ = 2 and 6 s the first is given up after 12 s."""
    early = chain(pool(timeout_s=30.0), peak_per_s=CARRIED_PER_S * 2)
    assert rule.first_timeout_s(early) == 12


def test_where_requests_wait_before_the_threads_only_the_gateway_ends_them() -> None:
    blind = chain(pool(timeout_s=1.0, threads=10.0), peak_per_s=CARRIED_PER_S * 2)
    assert rule.first_timeout_s(blind) == 12
    patient = chain(
        pool(timeout_s=1.0, threads=10.0),
        peak_per_s=CARRIED_PER_S * 2,
        gateway={"timeout_s": math.inf},
    )
    assert rule.first_timeout_s(patient) is None
