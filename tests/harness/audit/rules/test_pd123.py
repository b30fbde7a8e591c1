"""PD123: a PgBouncer that lets queries wait for too long."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness.audit.rules import pd123 as rule
from harness.audit.values import Place, Value
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent


@pytest.mark.parametrize(("wait_s", "shown"), [(120.0, "120 s"), (math.inf, "for ever")])
def test_a_wait_beyond_the_gateways_is_found(wait_s: float, shown: str) -> None:
    found = finding(rule, chain(pooler={"query_wait_timeout_s": wait_s}))
    assert found.severity == "warning"
    assert shown in found.message


def test_a_shorter_wait_is_clean() -> None:
    assert silent(rule, chain(pooler={"query_wait_timeout_s": 5.0}))


def test_a_wait_as_long_as_the_gateways_is_found() -> None:
    wait = at(6.0, 8, "query_wait_timeout")
    assert finding(rule, chain(pooler={"query_wait_timeout_s": wait})).place.line == 8


def test_it_does_not_guess() -> None:
    lacking = chain(gateway={"timeout_s": NOT_KNOWN}, pooler={"query_wait_timeout_s": 120.0})
    assert silent(rule, lacking)


def test_a_gateway_that_serves_others_does_not_count() -> None:
    past = chain(pool(reaches="postgres"), pooler={"query_wait_timeout_s": 120.0})
    assert silent(rule, past)


def test_a_gateway_that_never_gives_up_is_outlasted_by_nobody() -> None:
    endless = {"query_wait_timeout_s": math.inf}
    assert silent(rule, chain(gateway={"timeout_s": math.inf}, pooler=endless))


def test_a_default_is_told_as_one() -> None:
    usual = Value.default(60.0, "nginx", Place("nginx.conf"))
    waits = {"query_wait_timeout_s": 120.0}
    found = finding(rule, chain(gateway={"timeout_s": usual}, pooler=waits))
    assert "edge gives up after 60 s (default of nginx): the queue" in found.message
    assert found.fix == "Set query_wait_timeout below 60 s."


def test_the_least_patient_gateway_counts() -> None:
    whole = chain(pooler={"query_wait_timeout_s": 20.0})
    (edge,) = whole.gateways
    patient = replace(edge, name="batch", timeout_s=at(300.0))
    found = finding(rule, replace(whole, gateways=(patient, edge)))
    assert "edge gives up after 6 s" in found.message
    assert found.fix == "Set query_wait_timeout below 6 s."
