"""PD115: the pool opens its connections in the surge that needs them."""

from __future__ import annotations

import math

import pytest

from harness.audit.rules import pd115 as rule
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent


@pytest.mark.parametrize(
    ("implementation", "name"),
    [("psycopg-pool", "min_size"), ("asyncpg", "min_size"), ("hikari", "minimumIdle")],
)
def test_a_pool_that_grows_is_noted(implementation: str, name: str) -> None:
    found = finding(rule, chain(pool(implementation=implementation, min_size=2.0, size=20.0)))
    assert found.severity == "note"
    assert "the rest is opened" in found.message
    assert f"{name} to 20" in found.fix


def test_a_full_one_is_clean() -> None:
    assert silent(rule, chain(pool(implementation="asyncpg", min_size=10.0)))


@pytest.mark.parametrize(
    "changes",
    [
        {"implementation": "sqlalchemy", "min_size": 2.0},
        {"implementation": "asyncpg", "min_size": NOT_KNOWN},
        {"implementation": "asyncpg", "min_size": 2.0, "size": NOT_KNOWN},
        {"implementation": "psycopg-pool", "min_size": 0.0, "size": math.inf},
    ],
)
def test_other_pools_have_nothing_of_the_kind(changes: dict[str, object]) -> None:
    assert silent(rule, chain(pool(**changes)))


def test_a_job_queues_worker_has_no_surge() -> None:
    grows = pool(implementation="psycopg-pool", min_size=2.0)
    assert silent(rule, chain(grows, workload={"serves": False}))
