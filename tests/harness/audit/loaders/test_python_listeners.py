"""What listeners of SQLAlchemy's events do to each connection."""

from __future__ import annotations

import pytest

from harness.audit.loaders import python
from harness.audit.parts import Pool
from tests.harness.audit.loaders.reading import read


def pool(listener: str, target: str = "engine", event: str = "connect") -> Pool:
    text = f"""\
from sqlalchemy import create_engine, event, exc
from sqlalchemy.pool import Pool
engine = create_engine("postgresql+psycopg://u@db/app")

@event.listens_for({target}, "{event}")
def listen(connection, *_):
{listener}
"""
    (code,) = read(python, "app/db.py", text).codes
    (found,) = code.pools
    return found


SETS = """\
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '5s'")
        cursor.execute("set session lock_timeout to 2000")
"""


@pytest.mark.parametrize("target", ["engine", "engine.sync_engine", "Pool"])
def test_what_each_connection_is_told_holds(target: str) -> None:
    found = pool(SETS, target)
    assert (found.statement_timeout_s.known, found.lock_timeout_s.known) == (5, 2)
    assert found.statement_timeout_s.place is not None
    assert found.statement_timeout_s.place.line == 8
    assert not found.idle_in_transaction_timeout_s.is_known


def test_what_is_filled_in_is_not_known() -> None:
    found = pool('    connection.execute(f"SET statement_timeout = {LIMIT}")\n')
    assert "a listener sets statement_timeout" in found.statement_timeout_s.why


@pytest.mark.parametrize(("target", "event"), [("other", "connect"), ("engine", "close")])
def test_another_engines_listener_or_event_is_not_its(target: str, event: str) -> None:
    assert not pool(SETS, target, event).statement_timeout_s.is_known


def test_a_check_at_checkout_is_a_pre_ping() -> None:
    ping = "    raise exc.DisconnectionError()\n"
    assert pool(ping, "Pool", "checkout").pre_ping.known is True
    assert pool("    pass\n", "Pool", "checkout").pre_ping.known is False
