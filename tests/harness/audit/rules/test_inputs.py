"""What rules reckon with: who holds connections, who waits, how numbers are written."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.audit.chain import Chain
from harness.audit.parts import Use
from harness.audit.rules import inputs
from harness.audit.values import Value
from tests.harness.audit.chains import HERE, NOT_KNOWN, chain, pool


def only(whole: Chain) -> Any:
    """Its one workload and pool."""
    (found,) = whole.pools()
    return found


def test_a_thread_holds_what_its_request_takes_at_once() -> None:
    """Of several practices the greediest: 4 threads × 3 connections."""
    uses = (Use("nested-checkout", HERE, 2), Use("nested-checkout", HERE, 3))
    nested = chain(pool(threads=4.0, size=20.0), workload={"uses": uses})
    assert inputs.held_at_most(*only(nested)) == 12
    assert inputs.used_at_most(*only(nested)) == 12
    assert inputs.used_at_most(*only(chain(pool(threads=40.0)))) == 10
    assert inputs.used_at_most(*only(chain(pool(size=NOT_KNOWN)))) is None


@pytest.mark.parametrize(
    "lacking",
    [
        chain(workload={"hold_s": NOT_KNOWN}),
        chain(workload={"processes": NOT_KNOWN}),
        chain(pool(size=NOT_KNOWN)),
        chain(workload={"serves": False}),
    ],
)
def test_what_is_carried_is_not_guessed(lacking: Chain) -> None:
    assert inputs.carried_per_s(lacking) is None


def test_what_all_pools_carry_is_added_up() -> None:
    assert inputs.carried_per_s(chain(pool(), pool())) == pytest.approx(800)
    assert inputs.carried_per_s(chain(workload={"hold_s": 0.0})) == math.inf


def test_nobody_waits_where_each_thread_has_its_connection() -> None:
    uses = (Use("session-over-teardown", HERE),)
    assert not inputs.may_wait(*only(chain(pool(threads=10.0))))
    assert inputs.may_wait(*only(chain(pool(threads=10.0), workload={"uses": uses})))
    assert inputs.may_wait(*only(chain(pool(threads=11.0))))
    assert inputs.may_wait(*only(chain(pool(size=NOT_KNOWN, threads=1.0))))


def test_numbers_have_their_units_in_the_right_place() -> None:
    assert inputs.in_seconds(Value.default(30.0, "SQLAlchemy")) == "30 s (default of SQLAlchemy)"
    assert inputs.in_seconds(Value.default(math.inf, "asyncpg")) == (
        "for ever (default of asyncpg)"
    )
    assert inputs.counted(1, "connection") == "1 connection"
    assert inputs.counted(1.5, "core") == "1.5 cores"
