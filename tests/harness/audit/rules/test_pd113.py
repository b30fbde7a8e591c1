"""PD113: nothing ends an attempt to connect while somebody still waits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.rules import pd113 as rule
from harness.audit.values import Place, Value, Variable
from tests.harness.audit.chains import NOT_KNOWN, at, chain, finding, pool, silent, unknown

BESIDE = Place("app/db.py", 5)


def connecting(seconds: Any, gateway: Any = NOT_KNOWN, **changes: Any) -> Chain:
    value = seconds if isinstance(seconds, Value) else Value.at(seconds, BESIDE)
    return chain(pool(connect_timeout_s=value, **changes), gateway={"timeout_s": gateway})


def test_without_a_limit_it_is_found() -> None:
    found = finding(rule, connecting(Value.default(math.inf, "libpq", BESIDE)))
    assert (found.severity, found.place) == ("warning", BESIDE)
    assert "no limit" in found.message


@pytest.mark.parametrize(("seconds", "found"), [(59.0, False), (60.0, True), (130.0, True)])
def test_no_request_waits_for_a_minute(seconds: float, found: bool) -> None:
    assert silent(rule, connecting(Value.default(seconds, "a driver", BESIDE))) is not found
    assert silent(rule, connecting(seconds)) is not found


@pytest.mark.parametrize(("seconds", "found"), [(5.9, False), (6.0, True), (30.0, True)])
def test_the_gateway_does_not_wait_for_so_long(seconds: float, found: bool) -> None:
    assert silent(rule, connecting(seconds, gateway=6.0)) is not found


def test_it_says_for_how_long_the_gateway_waits() -> None:
    found = finding(rule, connecting(Value.default(60.0, "asyncpg", BESIDE), gateway=6.0))
    assert "60 s (the default of asyncpg)" in found.message
    assert "a request is waited for 6 s" in found.message


@pytest.mark.parametrize(
    ("implementation", "fix"),
    [
        ("asyncpg", "create_pool"),
        ("psycopg-pool", "kwargs"),
        ("django", "OPTIONS"),
        ("hikari", "JDBC"),
        ("sqlalchemy", "connect_args"),
    ],
)
def test_each_pool_has_its_own_fix(implementation: str, fix: str) -> None:
    assert fix in finding(rule, connecting(math.inf, implementation=implementation)).fix


def test_what_a_variable_decides_is_unknown() -> None:
    url: Value[float] = Value.unknown("URL is filled in", BESIDE, Variable("URL", float))
    assert "connect_timeout" in unknown(rule, connecting(url)).needs


def test_where_nothing_is_said_of_it_there_is_nothing_to_say() -> None:
    assert silent(rule, chain())


def test_nobody_waits_for_a_job_queues_worker() -> None:
    jobs = chain(pool(connect_timeout_s=math.inf), workload={"serves": False})
    found = finding(rule, replace(jobs, slo_s=at(1.0)))
    assert "a request is waited for" not in found.message
