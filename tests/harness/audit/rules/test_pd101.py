"""PD101: more connections than the database grants."""

from __future__ import annotations

import math

from harness.audit.rules import pd101 as rule
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent, unknown


def test_the_documented_sum_is_found() -> None:
    """3 replicas × 4 workers × 15 = 180 > 97."""
    broken = chain(pool(size=5.0, max_overflow=10.0), workload={"replicas": 3, "processes": 4})
    found = finding(rule, broken)
    assert found.severity == "error"
    assert "12 × 15 = 180" in found.message
    assert "grants 97" in found.message
    assert "max_connections to 183" in found.fix


def test_what_fits_exactly_is_clean() -> None:
    assert silent(rule, chain(pool(size=97.0), workload={"replicas": 1}))
    assert not silent(rule, chain(pool(size=98.0), workload={"replicas": 1}))


def test_reserved_connections_are_nobodys() -> None:
    full = chain(pool(size=97.0), workload={"replicas": 1}, server={"reserved": 1.0})
    assert "grants 96" in finding(rule, full).message


def test_a_pooler_between_is_another_rules_matter() -> None:
    assert silent(rule, chain(pool(size=500.0), pooler={}))


def test_an_unlimited_pool_is_another_rules_matter() -> None:
    assert silent(rule, chain(pool(max_overflow=math.inf)))


def test_it_says_what_it_lacks() -> None:
    assert "the processes of auth" in unknown(rule, chain(workload={"replicas": NOT_KNOWN})).needs
    assert "capacity" in unknown(rule, chain(pool(size=NOT_KNOWN))).needs
    lacking = chain(server={"max_connections": NOT_KNOWN})
    assert "the connections of postgres" in unknown(rule, lacking).needs
