"""PD105: a queue before the threads."""

from __future__ import annotations

import pytest

from harness.audit.rules import pd105 as rule
from tests.harness.audit.chains import chain, finding, pool, silent


@pytest.mark.parametrize("threads", [4.0, 10.0])
def test_a_pool_that_is_never_short_is_found(threads: float) -> None:
    assert finding(rule, chain(pool(threads=threads))).severity == "warning"


def test_a_pool_that_can_be_short_is_clean() -> None:
    assert silent(rule, chain(pool(threads=11.0)))


def test_without_a_limiter_there_is_nothing_to_say() -> None:
    assert silent(rule, chain())
