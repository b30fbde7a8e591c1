"""PD138: histograms that end before the wait does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Histogram
from harness.audit.rules import pd138 as rule
from harness.audit.values import Place
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent

PLACE = Place("metrics.py", 7, "buckets")


def shown(last_s: Any, whole: Chain, name: str = "http_request_duration_seconds") -> Chain:
    last = last_s if last_s is NOT_KNOWN else at(last_s, 7, "buckets")
    return replace(whole, histograms=(Histogram(name=name, place=PLACE, last_bucket_s=last),))


def test_a_last_bucket_below_the_timeout_is_found() -> None:
    found = finding(rule, shown(0.5, chain()))
    assert found.severity == "warning"
    assert "ends at 0.5 s" in found.message
    assert "may wait 1 s" in found.message


def test_a_last_bucket_at_the_timeout_is_clean() -> None:
    assert silent(rule, shown(1.0, chain()))


def test_the_shortest_timeout_decides_for_whose_pool_it_is_no_file_says() -> None:
    assert silent(rule, shown(2.0, chain(pool(timeout_s=30.0), pool(timeout_s=2.0))))


@pytest.mark.parametrize("name", ["password_hash_seconds", "db_query_seconds", "dns_request_s"])
def test_times_without_the_wait_in_them_are_clean(name: str) -> None:
    assert silent(rule, shown(0.5, chain(), name))


def test_what_is_not_known_or_not_waited_for_is_clean() -> None:
    assert silent(rule, shown(NOT_KNOWN, chain()))
    assert silent(rule, shown(0.5, chain(pool(timeout_s=NOT_KNOWN))))
    assert silent(rule, shown(0.5, chain(pool(implementation="none"))))
