"""PD133: the server ends what PgBouncer keeps."""

from __future__ import annotations

import math

import pytest

from harness.audit.rules import pd133 as rule
from tests.harness.audit.chains import NOT_KNOWN, chain, finding, pool, silent

ENDS = {"idle_session_timeout_s": 300.0}


@pytest.mark.parametrize(
    ("closes_s", "shown"), [(600.0, "for 600 s"), (300.0, "for 300 s"), (math.inf, "for ever")]
)
def test_a_pooler_that_keeps_them_longer_is_found(closes_s: float, shown: str) -> None:
    found = finding(rule, chain(server=ENDS, pooler={"server_idle_timeout_s": closes_s}))
    assert found.severity == "note"
    assert shown in found.message
    assert found.place.file == "app.env", "where the server's timeout stands"


def test_a_pooler_that_closes_them_first_is_clean() -> None:
    assert silent(rule, chain(server=ENDS, pooler={"server_idle_timeout_s": 299.0}))


def test_the_default_ends_none() -> None:
    never = {"idle_session_timeout_s": math.inf}
    assert silent(rule, chain(server=never, pooler={"server_idle_timeout_s": 600.0}))
    assert silent(rule, chain(server=ENDS)), "without a pooler it is another rule's matter"
    assert silent(rule, chain(server=ENDS, pooler={"server_idle_timeout_s": NOT_KNOWN}))


def test_what_its_roles_are_given_holds_over_the_servers() -> None:
    keeps = {"server_idle_timeout_s": 600.0}
    assert silent(rule, chain(server=ENDS, pooler={**keeps, "idle_session_timeout_s": math.inf}))
    assert silent(rule, chain(pool(idle_session_timeout_s=math.inf), server=ENDS, pooler=keeps))
    ends = pool(idle_session_timeout_s=60.0)
    assert "idle for 60 s" in finding(rule, chain(ends, server=ENDS, pooler=keeps)).message
    both = (pool(idle_session_timeout_s=math.inf), pool())
    assert finding(rule, chain(*both, server=ENDS, pooler=keeps))


def test_what_is_closed_at_an_age_was_not_idle_for_longer() -> None:
    keeps = {"server_idle_timeout_s": math.inf, "server_lifetime_s": 299.0}
    assert silent(rule, chain(server=ENDS, pooler=keeps))
    older = {**keeps, "server_lifetime_s": 300.0}
    assert "for 300 s" in finding(rule, chain(server=ENDS, pooler=older)).message
