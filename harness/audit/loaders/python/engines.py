"""SQLAlchemy's engines, with its names and defaults.

Sources: https://docs.sqlalchemy.org/en/21/core/engines.html and
https://docs.sqlalchemy.org/en/21/core/pooling.html
"""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from typing import Any

from harness.audit.loaders.python.connections import connected
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.making import Given, Making
from harness.audit.loaders.python.mappings import Entries
from harness.audit.loaders.python.syntax import Module
from harness.audit.loaders.python.urls import url_of
from harness.audit.parts import Implementation, Pool, Target
from harness.audit.reading import negative_is_unlimited
from harness.audit.values import Value

SQLALCHEMY = "SQLAlchemy"


def engine(making: Making, url_node: ast.expr | None) -> Pool | None:
    """An engine's pool, by SQLAlchemy's names and defaults."""
    expressions, said, place = making.expressions, making.said, making.place
    url = url_of(expressions, url_node, place)
    if url.is_another:
        return None
    given = Given(making, SQLALCHEMY)
    arguments = expressions.entries(said.nodes.get("connect_args"))
    told = connected(expressions, url, arguments, place)
    if {"creator", "async_creator"} & set(said.nodes):
        connects: Value[Any] = Value.unknown("what its creator does connects it", place)
        told |= {"connect_timeout_s": connects, "prepared_statements": connects, "target": Target()}
    if (own := said.nodes.get("pool")) is not None and not _is_nothing(own):
        making = replace(making, said=given_pool(expressions, own))
        given = Given(making, SQLALCHEMY)
    implementation = _class_of(expressions.module, making.said)
    size = given.number("pool_size", 5.0).map(lambda size: size or math.inf)
    overflow = given.number("max_overflow", 10.0).map(negative_is_unlimited)
    if implementation == "none":
        size = Value.unknown("a NullPool has a connection for each request", place)
    elif implementation == "unknown":
        classed = making.said.nodes["poolclass"]
        kind = _class_name(expressions.module, classed) or "one that is computed"
        size = Value.unknown(f"its pool's class is {kind}", place)
        if kind in _OF_ONE:
            size, overflow = Value.at(1.0, place), Value.at(0.0, place)
    return Pool(
        implementation=implementation,
        size=size,
        max_overflow=overflow,
        timeout_s=given.number("pool_timeout", 30.0, math.inf),
        recycle_s=given.number("pool_recycle", -1.0).map(negative_is_unlimited),
        pre_ping=given.truth("pool_pre_ping", False),
        use_lifo=given.truth("pool_use_lifo", False),
        **making.shared(),
        **told,
    )


def _class_of(module: Module, said: Entries) -> Implementation:
    node = said.nodes.get("poolclass")
    if node is None:
        return "sqlalchemy"
    name = _class_name(module, node)
    if name == "NullPool":
        return "none"
    return "sqlalchemy" if name.endswith("QueuePool") else "unknown"


_OF_ONE = frozenset({"StaticPool", "AssertionPool"})
"""Classes of pools that have one connection, which all share or one alone may have."""

_OWN_NAMES = {
    "timeout": "pool_timeout",
    "recycle": "pool_recycle",
    "pre_ping": "pool_pre_ping",
    "use_lifo": "pool_use_lifo",
}


def _class_name(module: Module, node: ast.expr) -> str:
    return module.qualified(module.meant(node)).rpartition(".")[2]


def _is_nothing(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def given_pool(expressions: Expressions, node: ast.expr) -> Entries:
    """``pool=QueuePool(connect, pool_size=3)``: its arguments, by an engine's names."""
    call = expressions.module.meant(node)
    if not isinstance(call, ast.Call):
        return Entries({"poolclass": call}, hides_some=True)
    said = expressions.keywords(call)
    nodes = {_OWN_NAMES.get(name, name): value for name, value in said.nodes.items()}
    return Entries({**nodes, "poolclass": call.func}, said.hides_some)


def configured_engine(making: Making, call: ast.Call) -> Pool | None:
    """``engine_from_config``: keys of a mapping, with a prefix; keywords hold over them."""
    expressions, said = making.expressions, making.said
    prefix_node = call.args[1] if len(call.args) > 1 else said.nodes.get("prefix")
    prefix = "sqlalchemy." if prefix_node is None else expressions.text(prefix_node, "prefix").known
    entries = expressions.entries(making.argument("configuration", call))
    mine = {
        key.removeprefix(prefix or ""): value
        for key, value in entries.nodes.items()
        if prefix is not None and key.startswith(prefix)
    }
    nodes = {**mine, **said.nodes}
    hides = entries.hides_some or said.hides_some or prefix is None
    return engine(replace(making, said=Entries(nodes, hides)), nodes.get("url"))
