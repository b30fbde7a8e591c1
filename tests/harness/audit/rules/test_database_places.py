"""A finding about the database stands where its value does, or where it should be set."""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from harness.audit.parts import Monitor, Pool
from harness.audit.rules import (
    pd120,
    pd122,
    pd123,
    pd124,
    pd125,
    pd126,
    pd127,
    pd128,
    pd129,
    pd130,
    pd131,
    pd132,
    pd133,
    pd134,
)
from harness.audit.values import Place, Value
from tests.harness.audit.chains import at, chain, finding, pool

TRUSTING = pool(pre_ping=False, recycle_s=math.inf)
ENDLESS = {"statement_timeout_s": math.inf}
SETTINGS: dict[str, tuple[ModuleType, str, Any, dict[str, Any], dict[str, Any], Pool]] = {
    "PD120": (pd120, "default_pool_size", 8.0, {"pool_mode": "session"}, {}, pool()),
    "PD122": (pd122, "max_client_conn", 5.0, {}, {}, pool()),
    "PD123": (pd123, "query_wait_timeout_s", 120.0, {}, {}, pool()),
    "PD124": (pd124, "reserve_pool_timeout_s", 9.0, {"reserve_pool_size": 5.0}, {}, pool()),
    "PD125": (pd125, "min_pool_size", 0.0, {"server_idle_timeout_s": 600.0}, {}, pool()),
    "PD126": (pd126, "open_files", 10.0, {"default_pool_size": 20.0}, {}, pool()),
    "PD127": (pd127, "query_timeout_s", 10.0, {}, ENDLESS, pool()),
    "PD128": (pd128, "client_idle_timeout_s", 300.0, {}, {}, TRUSTING),
    "PD129": (pd129, "server_login_retry_s", 15.0, {}, {}, pool()),
    "PD130": (
        pd130,
        "max_prepared_statements",
        0.0,
        {"pool_mode": "transaction"},
        {},
        pool(prepared_statements=True),
    ),
}
"""Of PgBouncer: a setting by its rule, with a value that is found, and what else it takes."""


@pytest.mark.parametrize("rule", SETTINGS)
def test_a_setting_of_pgbouncers(rule: str) -> None:
    module, name, value, others, server, before = SETTINGS[rule]
    stated = chain(before, pooler={**others, name: at(value, 41)}, server=server)
    assert finding(module, stated).place.line == 41
    default = Value.default(value, "PgBouncer")
    unsaid = chain(before, pooler={**others, name: default}, server=server)
    # PgBouncer's file descriptors are no setting of its own: the clients' limit is the next best.
    assert finding(module, unsaid).place.file in ("pgbouncer.ini", "app.env")


@pytest.mark.parametrize(
    ("module", "name"),
    [(pd131, "idle_in_transaction_timeout_s"), (pd132, "statement_timeout_s")],
)
def test_a_setting_of_the_servers(module: ModuleType, name: str) -> None:
    assert finding(module, chain(server={name: at(math.inf, 41)})).place.line == 41
    unsaid = chain(server={name: Value.default(math.inf, "PostgreSQL")})
    assert finding(module, unsaid).place == Place("postgresql.conf")


def test_a_session_timeout_of_the_servers() -> None:
    ends = {"idle_session_timeout_s": at(60.0, 41)}
    found = finding(pd133, chain(server=ends, pooler={"server_idle_timeout_s": 600.0}))
    assert found.place.line == 41


def test_a_grant() -> None:
    slot = at(False, 41)
    monitor = Monitor(name="exporter", place=Place("compose.yaml", 9), reserved_slot=slot)
    full = replace(chain(pool(size=60.0)), monitors=(monitor,))
    assert finding(pd134, full).place.line == 41
