"""PD117: the pool hands out sessions that the server has ended."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.rules import pd117 as rule
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent


def idle(ends: Any = 600.0, pooler: dict[str, Any] | None = None, **changes: Any) -> Chain:
    sound = {"implementation": "psycopg-pool", "pre_ping": False, "recycle_s": 3600.0, **changes}
    return chain(pool(**sound), server={"idle_session_timeout_s": ends}, pooler=pooler)


def test_an_unchecked_session_is_found() -> None:
    found = finding(rule, idle())
    assert found.severity == "warning"
    assert "idle for 600 s" in found.message
    assert "check_connection" in found.fix


@pytest.mark.parametrize(("lifetime", "found"), [(599.0, False), (600.0, True), (NOT_KNOWN, True)])
def test_a_connection_that_is_younger_cannot_have_been_idle(lifetime: Any, found: bool) -> None:
    assert silent(rule, idle(recycle_s=lifetime)) is not found


@pytest.mark.parametrize("ends", [math.inf, NOT_KNOWN])
def test_a_server_that_ends_nothing_is_clean(ends: Any) -> None:
    assert silent(rule, idle(ends))


def test_a_pool_that_looks_is_clean() -> None:
    assert silent(rule, idle(pre_ping=True))
    assert silent(rule, idle(pre_ping=NOT_KNOWN))


def test_other_pools_and_poolers_are_other_rules_matters() -> None:
    assert silent(rule, idle(implementation="sqlalchemy"))
    assert silent(rule, idle(pooler={}))


def test_what_its_role_is_given_holds_over_the_servers() -> None:
    assert silent(rule, idle(idle_session_timeout_s=math.inf))
    assert "idle for 60 s" in finding(rule, idle(math.inf, idle_session_timeout_s=60.0)).message
