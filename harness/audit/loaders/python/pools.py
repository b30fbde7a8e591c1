"""Pools that a module makes, with what their makers document for what is not said.

Sources: https://www.psycopg.org/psycopg3/docs/api/pool.html,
https://magicstack.github.io/asyncpg/current/api/index.html#connection-pools and
https://www.psycopg.org/docs/pool.html
"""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from typing import Any

from harness.audit.loaders.python.connections import (
    ASYNCPG,
    PSYCOPG,
    PSYCOPG2,
    connected,
)
from harness.audit.loaders.python.engines import configured_engine, engine
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.making import (
    CONFIGURED,
    ENGINES,
    OLD_POOLS,
    WITHOUT_POOL,
    Given,
    Making,
)
from harness.audit.loaders.python.mappings import Entries
from harness.audit.loaders.python.syntax import Module, last_name
from harness.audit.loaders.python.urls import Url, url_of
from harness.audit.parts import Implementation, Pool
from harness.audit.values import Place, Value

PSYCOPG_POOL = "psycopg_pool"


def pool_of(module: Module, call: ast.Call, called: str) -> Pool | None:
    """The pool of this call; None for an engine on another database than PostgreSQL."""
    expressions = Expressions(module)
    making = Making(
        expressions,
        call,
        expressions.keywords(call),
        module.place(call, called),
        module.name_of(call) or called,
        "async" in called.lower() or called == "create_pool",
    )
    if called in ENGINES:
        return engine(making, making.argument("url", call))
    if called in CONFIGURED:
        return configured_engine(making, call)
    if called == "create_pool":
        return _asyncpg(making, call)
    if called in OLD_POOLS:
        return _psycopg2(making, call)
    return _psycopg_pool(making, call, called)


def _psycopg_pool(making: Making, call: ast.Call, called: str) -> Pool:
    expressions, said = making.expressions, making.said
    url = url_of(expressions, making.argument("conninfo", call), making.place)
    arguments = expressions.entries(said.nodes.get("kwargs"))
    pool = psycopg_pool(
        making,
        checked=Value.at(True, making.place) if "check" in said.nodes else None,
        keeps_none=called in WITHOUT_POOL,
        told=connected(expressions, url, arguments, making.place, PSYCOPG),
    )
    opened = said.nodes.get("open")
    if opened is not None and expressions.truth(opened, "open").known is False:
        when = "it is made with open=False, and no file says when it is opened"
        return replace(pool, made_at_import=Value.unknown(when, making.place))
    return pool


def psycopg_pool(
    making: Making, *, checked: Value[bool] | None, keeps_none: bool, told: dict[str, Any]
) -> Pool:
    """A pool of psycopg_pool with these parameters.

    ``max_size`` is ``min_size`` where it is not said, and ``max_waiting=0`` is no bound.
    ``keeps_none``: it is a null pool, which only limits. ``told``: see `connected`.
    """
    said, place = making.said, making.place
    given = Given(making, PSYCOPG_POOL)
    nothing = Value.default(0.0, PSYCOPG_POOL, place)
    least = nothing if keeps_none else given.number("min_size", 4.0)
    size = least
    if "max_size" in said.nodes:
        largest = making.expressions.number(said.nodes["max_size"], "max_size", -1.0)
        size = least if largest.known == -1.0 else largest
    elif said.hides_some:
        size = given.number("max_size", 4.0)
    elif keeps_none:
        size = Value.default(math.inf, PSYCOPG_POOL, place)
    if said.hides_some and checked is None:
        checked = Value.unknown("check may be in the ** of the call", place)
    implementation: Implementation = "psycopg-pool"
    if keeps_none:  # a connection for each request; with a limit, requests queue for it
        implementation = "none" if size.known == math.inf else "unknown"
    return Pool(
        implementation=implementation,
        size=size,
        max_overflow=nothing,
        min_size=least,
        max_waiting=given.number("max_waiting", 0.0).map(lambda waiting: waiting or math.inf),
        timeout_s=given.number("timeout", 30.0),
        recycle_s=given.number("max_lifetime", 3600.0),
        pre_ping=checked or Value.default(False, PSYCOPG_POOL, place),
        use_lifo=Value.default(False, PSYCOPG_POOL, place),
        **making.shared(),
        **told,
    )


def _asyncpg(making: Making, call: ast.Call) -> Pool | None:
    """``create_pool``: ten connections at once, where nothing is said."""
    url = url_of(making.expressions, making.argument("dsn", call), making.place)
    given = Given(making, ASYNCPG)
    sizes = given.number("min_size", 10.0), given.number("max_size", 10.0)
    return None if url.is_another else asyncpg_pool(making, url, sizes)


def asyncpg_pool(making: Making, url: Url, sizes: tuple[Value[float], Value[float]]) -> Pool:
    """A pool of asyncpg, of so many connections: whoever waits for one waits for ever."""
    place, given = making.place, Given(making, ASYNCPG)
    return Pool(
        implementation="asyncpg",
        size=sizes[1],
        max_overflow=Value.default(0.0, ASYNCPG, place),
        min_size=sizes[0],
        max_waiting=Value.default(math.inf, ASYNCPG, place),
        timeout_s=_acquired_within(making.expressions, place),
        # It ends connections that were idle for so long, which is what a recycle is for.
        recycle_s=given.number("max_inactive_connection_lifetime", 300.0).map(
            lambda seconds: seconds or math.inf
        ),
        pre_ping=Value.default(False, ASYNCPG, place),
        use_lifo=Value.default(True, ASYNCPG, place),
        **making.shared(),
        **connected(making.expressions, url, making.said, place, ASYNCPG),
    )


def _acquired_within(expressions: Expressions, place: Place) -> Value[float]:
    """``acquire(timeout=…)`` of the same file; without one, for ever."""
    said = [
        expressions.number(each.value, "timeout", math.inf)
        for call in expressions.module.calls
        if last_name(call.func) == "acquire"
        for each in call.keywords
        if each.arg == "timeout"
    ]
    known = [each for each in said if each.is_known]
    if known:
        return max(known, key=lambda each: each.known or 0.0)
    return said[0] if said else Value.default(math.inf, ASYNCPG, place)


def _psycopg2(making: Making, call: ast.Call) -> Pool:
    """psycopg2's pools: who finds them empty gets an error at once."""
    expressions, place = making.expressions, making.place
    positional = dict(zip(("minconn", "maxconn", "dsn"), call.args, strict=False))
    nodes = {**positional, **making.said.nodes}
    url = url_of(expressions, nodes.get("dsn"), place)
    unsaid: Value[float] = Value.unknown("it is not said", place)

    def number(key: str) -> Value[float]:
        return expressions.number(nodes[key], key) if key in nodes else unsaid

    return Pool(
        implementation="unknown",
        size=number("maxconn"),
        max_overflow=Value.default(0.0, PSYCOPG2, place),
        min_size=number("minconn"),
        timeout_s=Value.default(0.0, PSYCOPG2, place),
        recycle_s=Value.default(math.inf, PSYCOPG2, place),
        pre_ping=Value.default(False, PSYCOPG2, place),
        **making.shared(),
        **connected(expressions, url, Entries(nodes, making.said.hides_some), place, PSYCOPG2),
    )
