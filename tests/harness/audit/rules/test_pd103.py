"""PD103: a pool that waits for longer than the gateway."""

from __future__ import annotations

import pytest

from harness.audit.rules import pd103 as rule
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent, unknown


@pytest.mark.parametrize("timeout_s", [6.0, 30.0])
def test_a_wait_as_long_as_the_gateways_is_found(timeout_s: float) -> None:
    found = finding(rule, chain(pool(timeout_s=timeout_s)))
    assert found.severity == "error"
    assert f"may wait {timeout_s:g} s" in found.message
    assert "gives up after 6 s" in found.message


def test_a_shorter_wait_is_clean() -> None:
    assert silent(rule, chain(pool(timeout_s=5.9)))


def test_without_a_pool_nobody_waits() -> None:
    assert silent(rule, chain(pool(implementation="none", timeout_s=30.0)))


def test_it_says_what_it_lacks() -> None:
    assert "how long" in unknown(rule, chain(gateway={"timeout_s": NOT_KNOWN})).needs
