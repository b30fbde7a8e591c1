"""Database URLs as code writes them: texts, sums and f-strings, SQLAlchemy's ``URL``.

Source: https://docs.sqlalchemy.org/en/21/core/engines.html#sqlalchemy.engine.URL
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from harness.audit.loaders.database_urls import (
    LIBPQ,
    PORT,
    is_postgresql,
    target_from,
    target_of_pieces,
)
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.mappings import Entries
from harness.audit.loaders.python.operations import changed
from harness.audit.loaders.python.syntax import DEEPEST, last_name, text_of
from harness.audit.parts import Target
from harness.audit.values import Place, Value

_QUERIES = frozenset(
    {"update_query_dict", "update_query_string", "update_query_pairs", "difference_update_query"}
)


@dataclass(frozen=True, slots=True)
class Url:
    """What is known of a URL: ``text`` as a whole, or where it leads and what it begins with."""

    target: Target
    text: Value[str]
    """Of a URL that is put together, only the part that holds no credentials."""

    is_another: bool = False
    """Whether it is one of a database other than PostgreSQL."""


def url_of(expressions: Expressions, node: ast.expr | None, place: Place) -> Url:
    """What an expression for a URL says."""
    if node is None:
        return Url(Target(), Value.unknown("no URL is said", place))
    node = expressions.module.meant(node)
    if isinstance(node, ast.Call) and last_name(node.func) == "make_url" and node.args:
        node = expressions.module.meant(node.args[0])
    if isinstance(node, ast.Call) and _makes_a_url(node):
        return _created(expressions, node, place)
    if isinstance(node, ast.Call) and (inner := _changes(expressions, node)) is not None:
        return _changed(expressions, node, url_of(expressions, inner, place), place)
    pieces = expressions.pieces(node, "the database URL")
    if pieces is not None:
        first = pieces[0] if pieces and isinstance(pieces[0], str) else ""
        last = pieces[-1] if len(pieces) > 1 and isinstance(pieces[-1], str) else ""
        scheme = first.partition("://")[0]
        if "://" not in first:
            return Url(
                target_of_pieces(pieces, place), Value.unknown("its URL is put together", place)
            )
        text = f"{scheme}://?{last.partition('?')[2]}"
        return Url(target_of_pieces(pieces, place), Value.at(text, place), not is_postgresql(text))
    value = expressions.text(node, "the database URL")
    if value.variable is not None:
        value = value.decided_by(replace(value.variable, partial=True))
    known = value.known if value.variable is None else None
    return Url(
        target_from(value, place), value, known is not None and "://" in known and _other(known)
    )


def _other(text: str) -> bool:
    return not is_postgresql(text)


def _makes_a_url(call: ast.Call) -> bool:
    """SQLAlchemy's ``URL.create``."""
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "create"
        and last_name(function.value) == "URL"
    )


def _created(expressions: Expressions, call: ast.Call, place: Place) -> Url:
    order = ("drivername", "username", "password", "host", "port", "database", "query")
    nodes = {**dict(zip(order, call.args, strict=False)), **expressions.keywords(call).nodes}
    target = _target(expressions, nodes, {"database": "database", "user": "username"}, place)
    named = nodes.get("drivername")
    said = expressions.text(named, "drivername") if named is not None else None
    driver = None if said is None or said.variable is not None else said.known
    if driver is None:
        return Url(target, Value.unknown("its driver is computed", place))
    query = expressions.entries(nodes.get("query"))
    text = f"{driver}://?{_asked(query)}"
    return Url(target, Value.at(text, place), not is_postgresql(text))


def _asked(query: Entries) -> str:
    """A URL's parameters, those that are literal."""
    said = {name: text_of(node) for name, node in query.nodes.items()}
    return "&".join(f"{name}={quote(value)}" for name, value in said.items() if value)


def _changes(expressions: Expressions, call: ast.Call) -> ast.expr | None:
    """The URL that ``url.set(…)`` or ``url.update_query_dict(…)`` is made of."""
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in ("set", *_QUERIES):
        return None
    made: ast.expr = expressions.module.meant(function.value)
    for _ in range(DEEPEST):
        if not isinstance(made, ast.Call):
            return None
        if last_name(made.func) == "make_url" or _makes_a_url(made):
            return function.value
        inner = made.func
        made = expressions.module.meant(inner.value) if isinstance(inner, ast.Attribute) else inner
    return None


def _changed(expressions: Expressions, call: ast.Call, url: Url, place: Place) -> Url:
    said = expressions.keywords(call)
    if last_name(call.func) in _QUERIES:
        query = expressions.entries(call.args[0] if call.args else None)
        if query.hides_some or last_name(call.func) != "update_query_dict":
            return replace(url, text=Value.unknown("what its URL asks for is computed", place))
        asked = _asked(query)
        return replace(url, text=url.text.map(lambda text: _asking_besides(text, asked)))
    if said.hides_some:
        return Url(Target(), Value.unknown("its URL is computed", place))
    names = {"host": "host", "port": "port", "database": "database", "user": "username"}
    target = _target(expressions, said.nodes, {"database": "database", "user": "username"}, place)
    given = {field: getattr(target, field) for field, name in names.items() if name in said.nodes}
    text, another = url.text, url.is_another
    if (node := said.nodes.get("drivername")) is not None:
        driver = expressions.text(node, "drivername")
        scheme = driver.known if driver.variable is None else None
        if scheme is None:
            return Url(replace(url.target, **given), Value.unknown("its driver is computed", place))
        text = text.map(lambda of: f"{scheme}://{of.partition('://')[2]}")
        another = not is_postgresql(f"{scheme}://")
    return Url(replace(url.target, **given), text, another)


def _asking_besides(text: str, asked: str) -> str:
    return f"{text}{'&' if '?' in text else '?'}{asked}"


def _target(
    expressions: Expressions, nodes: Mapping[str, ast.expr], names: Mapping[str, str], place: Place
) -> Target:
    def text(key: str) -> Value[str]:
        if key in nodes:
            return expressions.text(nodes[key], key)
        return Value.unknown(f"no {key} is said", place)

    port: Value[int] = Value.default(PORT, LIBPQ, place)
    if (node := nodes.get("port")) is not None:
        port = changed(expressions.value(node, "port"), _port, "port")
    return Target(
        host=text("host"),
        port=port,
        database=text(names.get("database", "dbname")),
        user=text(names.get("user", "user")),
    )


def _port(value: object) -> int:
    return int(str(value)) if value != "" and str(value) != "None" else PORT


def target_of_arguments(expressions: Expressions, entries: Entries, place: Place) -> Target:
    """Where ``host=``, ``port=``, ``dbname=`` (or ``database=``) and ``user=`` lead."""
    names = {"database": "database" if "database" in entries.nodes else "dbname"}
    return _target(expressions, entries.nodes, names, place)
