"""PD125: PgBouncer has nothing open when the surge comes."""

from __future__ import annotations

import math

from harness.audit.rules import pd125 as rule
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent

COLD = {"min_pool_size": 0.0, "server_idle_timeout_s": 600.0}


def test_none_at_all_is_a_note() -> None:
    found = finding(rule, chain(pooler=COLD))
    assert found.severity == "note"
    assert "idle for 600 s" in found.message


def test_some_are_clean() -> None:
    assert silent(rule, chain(pooler={**COLD, "min_pool_size": 1.0}))


def test_connections_that_are_never_closed_are_clean() -> None:
    assert silent(rule, chain(pooler={**COLD, "server_idle_timeout_s": math.inf}))


def test_without_a_declared_peak_nobody_is_hurt() -> None:
    assert silent(rule, chain(pooler=COLD, peak_per_s=NOT_KNOWN))


def test_a_pooler_that_no_pool_reaches_is_nobodys_concern() -> None:
    assert silent(rule, chain(pool(reaches="postgres"), pooler=COLD))
    assert silent(rule, chain(pooler={**COLD, "min_pool_size": NOT_KNOWN}))


def test_of_a_rehearsal_nobody_asks_anything() -> None:
    assert silent(rule, chain(pooler=COLD, peak_per_s=0.0))
