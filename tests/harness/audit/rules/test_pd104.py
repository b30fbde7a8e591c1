"""PD104: more threads than connections."""

from __future__ import annotations

import math

import pytest

from harness.audit.rules import pd104 as rule
from tests.harness.audit.chains import chain, finding, pool, silent


def test_threads_that_will_wait_are_counted() -> None:
    found = finding(rule, chain(pool(threads=40.0)))
    assert found.severity == "note"
    assert "30 may wait inside" in found.message


def test_a_pool_in_which_nobody_waits_refuses_them() -> None:
    found = finding(rule, chain(pool(threads=40.0, timeout_s=0.0)))
    assert found.severity == "warning"
    assert "30 may be refused" in found.message
    assert "no more threads than connections (10)" in found.fix
    assert silent(rule, chain(pool(threads=10.0, timeout_s=0.0)))


def test_as_many_as_connections_are_clean() -> None:
    assert silent(rule, chain(pool(threads=10.0)))


def test_without_a_limiter_there_is_nothing_to_say() -> None:
    assert silent(rule, chain())
    assert silent(rule, chain(pool(threads=math.inf)))


@pytest.mark.parametrize("implementation", ["none", "django"])
def test_without_a_pool_nobody_waits(implementation: str) -> None:
    assert silent(rule, chain(pool(threads=40.0, implementation=implementation)))
