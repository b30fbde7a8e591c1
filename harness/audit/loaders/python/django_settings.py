"""Connections that Django makes of its settings module's ``DATABASES``.

Sources: https://docs.djangoproject.com/en/stable/ref/databases/ and
https://docs.djangoproject.com/en/stable/ref/settings/#databases
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace

from harness.audit.loaders.database_urls import target_from
from harness.audit.loaders.python.amending import (
    DATABASES,
    Amended,
    amended,
    imports_from,
    of_alias,
)
from harness.audit.loaders.python.assignments import assigned
from harness.audit.loaders.python.connections import DJANGOS, connected
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.imports import imported, module_path
from harness.audit.loaders.python.making import Making
from harness.audit.loaders.python.mappings import Entries
from harness.audit.loaders.python.operations import changed
from harness.audit.loaders.python.pools import psycopg_pool
from harness.audit.loaders.python.syntax import Module, last_name, text_of
from harness.audit.loaders.python.urls import Url, url_of
from harness.audit.parts import Pool, Target
from harness.audit.reading import Amendment
from harness.audit.values import Place, Value, Variable

DJANGO = "Django"
_POSTGRESQL = ("postgresql", "postgis", "psycopg", "psqlextra", "timescale")
_OTHERS = ("sqlite3", "mysql", "oracle", "spatialite", "mssql", "mongodb", "dummy")
_BY_URL = frozenset({"db", "db_url", "config", "parse", "dj_db_url", "database_url"})
"""django-environ's, dj_database_url's and environs' functions that give a database's settings."""


def django_pools(module: Module) -> tuple[Pool, ...]:
    """A pool for each database of ``DATABASES`` that is, or may be, PostgreSQL.

    Where one is set several times, the last that is PostgreSQL holds: others are for development.
    """
    if DATABASES not in module.bound:
        return ()
    expressions = Expressions(module)
    later = amended(expressions)
    found: dict[str, Pool] = {}
    for alias, value, node in _databases(module, expressions):
        if (pool := _database(expressions, alias, value, node, later)) is not None:
            found[alias] = pool
    return tuple(found.values())


def django_amendments(module: Module) -> tuple[Amendment, ...]:
    """What is changed of databases that a settings module imports from another."""
    base = imports_from(module) if DATABASES in module.names else ""
    if not base:
        return ()
    expressions, found = Expressions(module), []
    everywhere = amended(expressions)
    for alias, each in everywhere.items():
        place = module.place(each.node, f"DATABASES[{alias}]")
        later = of_alias(everywhere, alias)
        said = Entries(hides_some=True)
        for one in later:
            said = one.of(said)
        if _kind(expressions, said, None) is False:
            continue
        pool = _connected(expressions, alias, said, None, later, each.node, place)
        unsaid = _connected(
            expressions, alias, Entries(hides_some=True), None, [], each.node, place
        )
        changed_ones = frozenset(
            field.name
            for field in fields(Pool)
            if getattr(pool, field.name) != getattr(unsaid, field.name)
        )
        found.append(
            Amendment(
                own=module_path(module.file.name),
                base=imported(module, base),
                pool=pool,
                changed=changed_ones,
                hides_some=any(one.hides_some or one.hides_options for one in later),
            )
        )
    return tuple(found)


def _databases(module: Module, expressions: Expressions) -> Iterator[tuple[str, ast.expr, ast.AST]]:
    """``DATABASES = {"default": …}`` and ``DATABASES["default"] = …``."""
    for each in assigned(module, "DATABASES"):
        if module.function_of(each.node) is None and isinstance(
            each.node, ast.Assign | ast.AnnAssign
        ):
            for alias, value in expressions.entries(each.value).nodes.items():
                yield alias, value, each.node
    for node in module.nodes:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Subscript):
            continue
        target = node.targets[0]
        name = text_of(target.slice)
        if name and isinstance(target.value, ast.Name) and target.value.id == "DATABASES":
            yield name, node.value, node


def _database(
    expressions: Expressions,
    alias: str,
    value: ast.expr,
    node: ast.AST,
    amended_by: Mapping[str, Amended],
) -> Pool | None:
    module = expressions.module
    value = module.meant(value)
    place = module.place(value, f"DATABASES[{alias}]")
    url: Url | None = None
    if isinstance(value, ast.Call) and last_name(value.func) in _BY_URL:
        said, url = _by_url(expressions, value, place)
    else:
        said = expressions.entries(value)
    later = of_alias(amended_by, alias)
    for each in later:
        said = each.of(said)
    kind = _kind(expressions, said, url)
    if kind is False or (kind is None and not said.nodes and url is None):
        return None
    return _connected(expressions, alias, said, url, later, node, place)


def _connected(
    expressions: Expressions,
    alias: str,
    said: Entries,
    url: Url | None,
    later: Sequence[Amended],
    node: ast.AST,
    place: Place,
) -> Pool:
    options = Entries(hides_some=said.hides_some)
    if "OPTIONS" in said.nodes:
        options = expressions.entries(said.nodes["OPTIONS"])
    for each in later:
        options = each.of_options(options)
    told = connected(
        expressions, url or Url(Target(), Value.unknown("no URL is said")), options, place, DJANGOS
    )
    if url is None:
        told["target"] = _target(expressions, said, place)
    making = Making(expressions, node, said, place, f"Django: {alias}", is_async=False)
    pooled = options.nodes.get("pool")
    if pooled is not None and expressions.value(pooled, "pool").known is not False:
        return _pooled(making, pooled, told)
    whose = making.shared()
    whose["made_at_import"] = Value.at(False, place)
    backend = (
        expressions.text(said.nodes["ENGINE"], "ENGINE").known if "ENGINE" in said.nodes else ""
    )
    if "pool" in (backend or ""):
        why = "the backend has a pool of its own, which is not known here"
        return Pool(implementation="unknown", size=Value.unknown(why, place), **whose, **told)
    return Pool(
        implementation="django",
        size=Value.unknown(
            "Django has one connection for each thread of the server, and no file says how many "
            "threads there are",
            place,
        ),
        max_overflow=Value.default(0.0, DJANGO, place),
        timeout_s=Value.default(0.0, DJANGO, place),
        recycle_s=_number(expressions, said, "CONN_MAX_AGE", 0.0, place),
        pre_ping=expressions.truth(said.nodes["CONN_HEALTH_CHECKS"], "CONN_HEALTH_CHECKS")
        if "CONN_HEALTH_CHECKS" in said.nodes
        else _default(said, False, "CONN_HEALTH_CHECKS", place),
        **whose,
        **told,
    )


def _pooled(making: Making, node: ast.expr, told: dict[str, object]) -> Pool:
    """``"pool": True``, or parameters of psycopg_pool, which Django opens by itself."""
    expressions, outer = making.expressions, making.said
    meant = expressions.module.meant(node)
    said = expressions.entries(meant)
    if isinstance(meant, ast.Constant):
        said = Entries()
    checks = outer.nodes.get("CONN_HEALTH_CHECKS")
    checked = (
        expressions.truth(checks, "CONN_HEALTH_CHECKS")
        if checks is not None
        else Value.default(False, DJANGO, making.place)
    )
    inner = replace(making, said=said)
    pool = psycopg_pool(inner, checked=checked, keeps_none=False, told=dict(told))
    # Made at the first request, and one for each process.
    return replace(pool, made_at_import=Value.at(False, making.place))


def _by_url(expressions: Expressions, call: ast.Call, place: Place) -> tuple[Entries, Url]:
    """``dj_database_url.config(conn_max_age=600)``, ``env.db("DATABASE_URL")``."""
    nodes = expressions.keywords(call).nodes
    names = {
        "conn_max_age": "CONN_MAX_AGE",
        "conn_health_checks": "CONN_HEALTH_CHECKS",
        "engine": "ENGINE",
    }
    said = {names[key]: value for key, value in nodes.items() if key in names}
    name = last_name(call.func)
    first = call.args[0] if call.args else None
    if name == "parse" and first is not None:
        return Entries(said), url_of(expressions, first, place)
    named = first or nodes.get("env")
    variable = "DATABASE_URL"
    if named is not None and last_name(named) != "DEFAULT_ENV":
        variable = text_of(expressions.module.meant(named)) or ""
    text: Value[str] = Value.unknown(
        f"the database is taken from the environment: {variable or 'by a name of its own'}", place
    )
    if (default := nodes.get("default")) is not None:
        otherwise = expressions.text(default, "the database URL")
        text = otherwise if otherwise.is_known else text
    if variable:
        text = text.decided_by(Variable(variable, str))
    return Entries(said), Url(target_from(text, place), text)


def _kind(expressions: Expressions, said: Entries, url: Url | None) -> bool | None:
    """Whether it is PostgreSQL; None where that is not said."""
    node = said.nodes.get("ENGINE")
    if node is None:
        return None if url is None else not url.is_another
    known = expressions.text(node, "ENGINE").known
    if known is None:
        return True if {"HOST", "PORT"} & set(said.nodes) else None
    if any(part in known for part in _OTHERS):
        return False
    return any(part in known for part in _POSTGRESQL) or None


def _target(expressions: Expressions, said: Entries, place: Place) -> Target:
    def text(key: str) -> Value[str]:
        if key in said.nodes:
            return expressions.text(said.nodes[key], key)
        return Value.unknown(f"no {key} is said", place)

    port: Value[int] = Value.default(5432, "PostgreSQL's clients", place)
    if "PORT" in said.nodes:
        node = said.nodes["PORT"]
        port = changed(expressions.value(node, "PORT"), lambda p: int(str(p) or 5432), "PORT")
    return Target(host=text("HOST"), port=port, database=text("NAME"), user=text("USER"))


def _number(
    expressions: Expressions, said: Entries, key: str, default: float, place: Place
) -> Value[float]:
    if key in said.nodes:
        return expressions.number(said.nodes[key], key, math.inf)
    if said.hides_some:
        return Value.unknown(f"{key} may be in what the database's settings take over", place)
    return Value.default(default, DJANGO, place)


def _default(said: Entries, default: bool, key: str, place: Place) -> Value[bool]:
    if said.hides_some:
        return Value.unknown(f"{key} may be in what the database's settings take over", place)
    return Value.default(default, DJANGO, place)
