"""PD122: more connections than PgBouncer takes."""

from __future__ import annotations

from harness.audit.rules import pd122 as rule
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent, unknown


def test_its_default_is_too_few_for_large_pools() -> None:
    found = finding(rule, chain(pool(size=60.0), pooler={"max_client_conn": 100.0}))
    assert found.severity == "error"
    assert "open 120 connections" in found.message


def test_what_fits_exactly_is_clean() -> None:
    assert silent(rule, chain(pool(size=50.0), pooler={"max_client_conn": 100.0}))


def test_without_a_pooler_there_is_nothing_to_say() -> None:
    assert silent(rule, chain(pool(size=5000.0)))


def test_it_says_what_it_lacks() -> None:
    assert "max_client_conn" in unknown(rule, chain(pooler={"max_client_conn": NOT_KNOWN})).needs
    assert "capacity" in unknown(rule, chain(pool(size=NOT_KNOWN), pooler={})).needs
