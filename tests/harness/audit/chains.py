"""Chains for rules to look at: sound ones, of which a test changes one thing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from types import ModuleType
from typing import Any

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.parts import Client, Gateway, Pool, Pooler, Server, Workload
from harness.audit.values import Place, Value

HERE = Place("app.env", 3, "POOL_SIZE")


def at(value: Any, line: int = 3, key: str = "POOL_SIZE") -> Value[Any]:
    """A value as it stands in a file."""
    return Value.at(value, Place("app.env", line, key))


def pool(**changes: Any) -> Pool:
    """Ten connections, one second, checked; ``changes`` are plain values or `Value`s."""
    sound = Pool(
        name="primary",
        place=HERE,
        implementation="sqlalchemy",
        size=at(10.0),
        max_overflow=at(0.0, 4, "MAX_OVERFLOW"),
        timeout_s=at(1.0, 5, "POOL_TIMEOUT"),
        recycle_s=at(math.inf, 6, "RECYCLE"),
        pre_ping=at(True, 7, "PRE_PING"),
        use_lifo=at(False, 8, "USE_LIFO"),
    )
    return replace(sound, **_values(changes))


def chain(
    *pools: Pool,
    workload: dict[str, Any] | None = None,
    gateway: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
    client: dict[str, Any] | None = None,
    pooler: dict[str, Any] | None = None,
    peak_per_s: Any = 30.0,
) -> Chain:
    """Two processes with these pools (else the sound one), 100 connections, 50 ms a request."""
    work = Workload(
        name="auth",
        place=HERE,
        replicas=at(2, 1, "REPLICAS"),
        processes=at(1, 2, "WORKERS"),
        hold_s=at(0.05, 9, "HOLD"),
        pools=pools or (pool(),),
    )
    edge = Gateway(name="edge", place=Place("nginx.conf"), timeout_s=at(6.0, 1, "TIMEOUT"))
    postgres = Server(
        name="postgres",
        place=Place("postgresql.conf"),
        max_connections=at(100.0, 1, "max_connections"),
        superuser_reserved=Value.default(3.0, "PostgreSQL"),
        reserved=Value.default(0.0, "PostgreSQL"),
    )
    caller = Client(place=Place("client"), attempts=at(1), retry_budget=at(math.inf))
    between = Pooler(
        name="pgbouncer",
        place=Place("pgbouncer.ini"),
        max_client_conn=at(1000.0, 4, "max_client_conn"),
        query_wait_timeout_s=at(2.0, 5, "query_wait_timeout"),
    )
    return Chain(
        clients=(replace(caller, **_values(client or {})),),
        gateways=(replace(edge, **_values(gateway or {})),),
        workloads=(replace(work, **_values(workload or {})),),
        poolers=() if pooler is None else (replace(between, **_values(pooler)),),
        servers=(replace(postgres, **_values(server or {})),),
        peak_per_s=peak_per_s if isinstance(peak_per_s, Value) else at(peak_per_s, 1, "--peak"),
    )


def finding(rule: ModuleType, chain: Chain) -> Finding:
    """The one finding of the rule."""
    (found,) = said(rule.check(chain))
    assert isinstance(found, Finding)
    assert found.id == rule.ID
    assert found.fix
    return found


def unknown(rule: ModuleType, chain: Chain) -> Unknown:
    """What the one thing is that the rule would need."""
    (found,) = said(rule.check(chain))
    assert isinstance(found, Unknown)
    assert found.id == rule.ID
    return found


def silent(rule: ModuleType, chain: Chain) -> bool:
    """Whether the rule has nothing to say."""
    return not said(rule.check(chain))


def said(of: Iterable[Finding | Unknown]) -> list[Finding | Unknown]:
    """All of it."""
    return list(of)


NOT_KNOWN: Value[Any] = Value.unknown("it is filled in elsewhere")


def _values(changes: dict[str, Any]) -> dict[str, Any]:
    plain = ("implementation", "name", "place", "pools", "uses", "reaches", "databases", "target")
    return {
        name: value if name in plain or isinstance(value, Value) else at(value)
        for name, value in changes.items()
    }
