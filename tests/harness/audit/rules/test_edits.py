"""The edits that rules offer: where a value stands in a file, and only what is safe."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.audit.finding import Edit
from harness.audit.rules import pd103, pd110, pd123, pd131
from harness.audit.rules.edits import shorter_wait
from harness.audit.values import Place, Value
from tests.harness.audit.chains import at, chain, finding, pool


@pytest.mark.parametrize(
    ("wait_s", "patience_s", "new"),
    [
        (30.0, 6.0, ("30", "4")),
        (30.0, 1.25, ("30", "1")),
        (math.inf, 6.0, ("0", "4")),
        (1.5, 1.0, ("1.5", "0.8")),
        (30.0, 1.0, None),
        (30.0, math.inf, None),
        (30.0, 0.0, None),
    ],
)
def test_a_wait_ends_while_somebody_listens(
    wait_s: float, patience_s: float, new: tuple[str, str] | None
) -> None:
    """Whole seconds stay whole: a product that takes no fraction would read 0, for ever."""
    edit = shorter_wait(at(wait_s), patience_s)
    assert (None if edit is None else (edit.old_text, edit.new_text)) == new


@pytest.mark.parametrize("wait", [Value.default(30.0, "SQLAlchemy"), Value.unknown("no")])
def test_what_stands_nowhere_is_not_edited(wait: Value[Any]) -> None:
    assert shorter_wait(wait, 6.0) is None


def test_a_pools_wait_is_made_shorter_than_the_gateways() -> None:
    found = finding(pd103, chain(pool(timeout_s=30.0)))
    assert found.edit is not None
    assert (found.edit.old_text, found.edit.new_text) == ("30", "4")


def test_pgbouncers_wait_too_also_one_without_an_end() -> None:
    for wait in (120.0, math.inf):
        found = finding(pd123, chain(pooler={"query_wait_timeout_s": wait}))
        assert found.edit is not None
        assert found.edit.new_text == "4"


def test_a_check_is_turned_on_where_it_is_off_or_added_in_a_call() -> None:
    off = at(False, 7, "AUTH_POOL__PRE_PING")
    found = finding(pd110, chain(pool(use_lifo=True, pre_ping=off)))
    assert found.edit == Edit(Place("app.env", 7, "AUTH_POOL__PRE_PING"), "false", "true")
    lifo = at(True, 8, "pool_use_lifo")
    unsaid = Value.default(False, "SQLAlchemy")
    found = finding(pd110, chain(pool(use_lifo=lifo, pre_ping=unsaid)))
    assert found.edit is not None
    assert found.edit.new_text == "True, pool_pre_ping=True"
    elsewhere = at(True, 8, "AUTH_POOL__USE_LIFO")
    found = finding(pd110, chain(pool(use_lifo=elsewhere, pre_ping=unsaid)))
    assert found.edit is None, "a line is not added"


def test_an_idle_transaction_ends_where_0_stands_in_a_file() -> None:
    limit = at(math.inf, 9, "idle_in_transaction_session_timeout")
    found = finding(pd131, chain(server={"idle_in_transaction_timeout_s": limit}))
    assert found.edit is not None
    assert (found.edit.old_text, found.edit.new_text) == ("0", "60s")
    unsaid = Value.default(math.inf, "PostgreSQL")
    found = finding(pd131, chain(server={"idle_in_transaction_timeout_s": unsaid}))
    assert found.edit is None
