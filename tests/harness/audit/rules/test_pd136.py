"""PD136: clients that leave before the pool refuses them."""

from __future__ import annotations

import pytest

from harness.audit.rules import pd136 as rule
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent


@pytest.mark.parametrize("patience_s", [0.5, 1.0])
def test_a_wait_as_long_as_the_clients_is_found(patience_s: float) -> None:
    found = finding(rule, chain(client={"timeout_s": patience_s}))
    assert found.severity == "warning"
    assert f"give up after {patience_s:g} s" in found.message


def test_a_patient_client_is_clean() -> None:
    assert silent(rule, chain(client={"timeout_s": 1.1}))


def test_without_a_pool_nobody_waits() -> None:
    assert silent(rule, chain(pool(implementation="none"), client={"timeout_s": 0.5}))


def test_what_is_not_said_is_not_guessed() -> None:
    assert silent(rule, chain(client={"timeout_s": NOT_KNOWN}))
