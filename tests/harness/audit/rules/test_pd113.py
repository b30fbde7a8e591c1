"""PD113: nothing ends an attempt to connect while somebody still waits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Target
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


def by_url(host: Value[str], seconds: Value[float]) -> Chain:
    """A pool whose URL is a variable's, before a driver that waits for long by itself."""
    return connecting(seconds, target=Target(host=host))


def test_a_drivers_default_need_not_hold_where_the_url_is_filled_in_elsewhere() -> None:
    default = Value.default(130.0, "psycopg", BESIDE).decided_by(Variable("URL", float))
    nowhere = Value[str].unknown("it is filled in", BESIDE, Variable("URL", str))
    found = unknown(rule, by_url(nowhere, default))
    assert "the database URL is filled in elsewhere: URL" in found.needs


def test_a_drivers_default_holds_where_the_url_is_known() -> None:
    default = Value.default(130.0, "psycopg", BESIDE)
    decided = default.decided_by(Variable("URL", float))
    known, other = at("db"), Value[str].unknown("?", BESIDE, Variable("DB_HOST", str))
    unsaid = Value[str].unknown("the URL names no host", BESIDE)
    assert finding(rule, by_url(known, default)), "a URL of the code's own"
    assert finding(rule, by_url(known.decided_by(Variable("URL", str)), decided)), "a default URL"
    assert finding(rule, by_url(unsaid, default)), "a socket's"
    assert finding(rule, by_url(other, default)), "of which only the host is filled in"


def test_what_the_code_says_holds_over_any_url() -> None:
    nowhere = Value[str].unknown("it is filled in", BESIDE, Variable("URL", str))
    assert silent(rule, by_url(nowhere, at(5.0)))
    assert finding(rule, by_url(nowhere, at(120.0)))
