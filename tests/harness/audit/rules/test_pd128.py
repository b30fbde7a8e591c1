"""PD128: PgBouncer closes what the pool keeps."""

from __future__ import annotations

import math

import pytest

from harness.audit.rules import pd128 as rule
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent, unknown

CLOSES = {"client_idle_timeout_s": 300.0}


@pytest.mark.parametrize(
    ("recycle_s", "shown"), [(300.0, "for 300 s"), (1800.0, "for 1800 s"), (math.inf, "for ever")]
)
def test_a_pool_that_keeps_them_longer_is_found(recycle_s: float, shown: str) -> None:
    found = finding(rule, chain(pool(pre_ping=False, recycle_s=recycle_s), pooler=CLOSES))
    assert found.severity == "warning"
    assert shown in found.message


def test_a_pool_that_replaces_them_sooner_is_clean() -> None:
    assert silent(rule, chain(pool(pre_ping=False, recycle_s=299.0), pooler=CLOSES))


def test_a_check_before_each_use_is_enough() -> None:
    assert silent(rule, chain(pool(pre_ping=True, recycle_s=math.inf), pooler=CLOSES))


def test_the_default_closes_none() -> None:
    never = {"client_idle_timeout_s": math.inf}
    assert silent(rule, chain(pool(pre_ping=False), pooler=never))
    assert silent(rule, chain(pool(pre_ping=False)))


def test_it_says_what_it_lacks() -> None:
    lacking = chain(pool(pre_ping=False, recycle_s=NOT_KNOWN), pooler=CLOSES)
    assert "recycle" in unknown(rule, lacking).needs
