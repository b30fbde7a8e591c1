"""Pools of libraries that bring their own, or make another's: each with its names and defaults.

Sources: https://tortoise.github.io/databases.html, https://www.encode.io/databases/,
https://docs.peewee-orm.com/en/latest/peewee/playhouse.html#connection-pool,
https://python-gino.org/docs/en/1.0/reference/api/gino.html, https://aiopg.readthedocs.io/ and
https://piccolo-orm.readthedocs.io/en/latest/piccolo/engines/postgres_engine.html
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from harness.audit.loaders.database_urls import is_postgresql, parameter_of, target_from
from harness.audit.loaders.python.connections import (
    ASYNCPG,
    PSYCOPG2,
    connected,
)
from harness.audit.loaders.python.engines import engine, given_pool
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.making import ENGINES, Given, Making
from harness.audit.loaders.python.pools import asyncpg_pool
from harness.audit.loaders.python.syntax import Entries, Module, keyword, last_name, text_of
from harness.audit.loaders.python.urls import Url, target_of_arguments, url_of
from harness.audit.parts import Pool, Target
from harness.audit.reading import negative_is_unlimited, number, zero_is_unlimited
from harness.audit.values import Place, Value

AIOPG, GINO, PEEWEE, TORTOISE = "aiopg", "GINO", "peewee", "Tortoise"
_TORTOISES_POSTGRESQL = ("asyncpg", "psycopg")


def library_pools(module: Module) -> Iterator[tuple[ast.AST, Pool]]:
    """Every such pool, with the call that makes it, or what configures that."""
    for call in [*module.calls]:
        name = last_name(call.func)
        read = _READ.get(name)
        if read is None or not _is_theirs(module, call, name):
            continue
        expressions = Expressions(module)
        place, said = module.place(call, name), expressions.keywords(call)
        is_async = name not in _SYNCHRONOUS
        named = module.name_of(call) or name
        making = Making(expressions, call, said, place, named, is_async)
        for pool in read(making, call):
            yield call, pool
    yield from _configured(module)


def _is_theirs(module: Module, call: ast.Call, name: str) -> bool:
    """By the import; a method's name by what the file imports at all."""
    full = module.qualified(call.func)
    packages = _PACKAGES[name]
    if full.partition(".")[0].startswith(packages):
        return True
    is_method = isinstance(call.func, ast.Attribute) and name in _METHODS
    return is_method and any(each.startswith(packages) for each in module.imports.values())


def _databases(making: Making, call: ast.Call) -> Iterator[Pool]:
    url = url_of(making.expressions, making.argument("url", call), making.place)
    if url.is_another:
        return
    sizes = _size(making, url, "min_size", 10.0), _size(making, url, "max_size", 10.0)
    opened = Value[bool].unknown("connect() opens it, and no file says when", making.place)
    yield replace(asyncpg_pool(making, url, sizes), made_at_import=opened)


def _gino(making: Making, call: ast.Call) -> Iterator[Pool]:
    """``set_bind`` and ``create_engine`` hand all on to asyncpg; an extension has its own names."""
    names, default = ("min_size", "max_size"), (10.0, 10.0)
    node = making.argument("bind", call)
    if last_name(call.func) == "Gino":
        if not {"dsn", "pool_min_size", "pool_max_size"} & set(making.said.nodes):
            return
        names, default = ("pool_min_size", "pool_max_size"), (5.0, 10.0)
        node = making.said.nodes.get("dsn")
    url = url_of(making.expressions, node, making.place)
    if not url.is_another:
        given = Given(making, GINO)
        sizes = given.number(names[0], default[0]), given.number(names[1], default[1])
        yield asyncpg_pool(making, url, sizes)


def _piccolo(making: Making, call: ast.Call) -> Iterator[Pool]:
    engines = [e for e in making.expressions.module.calls if last_name(e.func) == "PostgresEngine"]
    target = Target()
    if len(engines) == 1:
        config = making.expressions.entries(keyword(engines[0], "config"))
        target = target_of_arguments(making.expressions, config, making.place)
    url = Url(target, Value.unknown("its engine says where it connects to", making.place))
    given = Given(making, ASYNCPG)
    yield asyncpg_pool(
        making, url, (given.number("min_size", 10.0), given.number("max_size", 10.0))
    )


def _aiopg(making: Making, call: ast.Call) -> Iterator[Pool]:
    """Who finds it empty waits for ever; a ``maxsize`` of 0 is no limit."""
    place, given = making.place, Given(making, AIOPG)
    url = url_of(making.expressions, making.argument("dsn", call), place)
    yield Pool(
        implementation="unknown",
        size=given.number("maxsize", 10.0).map(lambda size: size or math.inf),
        max_overflow=Value.default(0.0, AIOPG, place),
        min_size=given.number("minsize", 1.0),
        max_waiting=Value.default(math.inf, AIOPG, place),
        timeout_s=Value.default(math.inf, AIOPG, place),
        recycle_s=given.number("pool_recycle", -1.0).map(negative_is_unlimited),
        pre_ping=Value.default(False, AIOPG, place),
        **making.shared(),
        **connected(making.expressions, url, making.said, place, PSYCOPG2),
    )


def _peewee(making: Making, _: ast.Call) -> Iterator[Pool]:
    """Who finds it empty gets an error at once, or after ``timeout``, of which 0 is for ever."""
    place, given = making.place, Given(making, PEEWEE)
    url = Url(Target(), Value.unknown("no URL is said", place))
    timeout = given.number("timeout", 0.0, 0.0)
    if (node := making.said.nodes.get("timeout")) is not None:
        said = making.expressions.number(node, "timeout", -1.0)
        timeout = said.map(lambda after: 0.0 if after < 0 else after or math.inf)
    yield Pool(
        implementation="unknown",
        size=given.number("max_connections", 20.0),
        max_overflow=Value.default(0.0, PEEWEE, place),
        timeout_s=timeout,
        recycle_s=given.number("stale_timeout", math.inf, math.inf),
        pre_ping=Value.default(False, PEEWEE, place),
        **making.shared(),
        **connected(making.expressions, url, making.said, place, PSYCOPG2),
    )


def _peewee_url(making: Making, call: ast.Call) -> Iterator[Pool]:
    """``connect("postgresql+pool://…?max_connections=20")``; another scheme has no pool."""
    expressions, place = making.expressions, making.place
    text = expressions.text(making.argument("url", call) or ast.Constant(""), "the database URL")
    if text.known is not None and not _POOLED.match(text.known):
        return
    url = text.map(lambda said: _POOLED.sub("postgresql://", said))
    unsaid: Value[float] = Value.unknown("its URL says whether there is a pool", place)

    def of(key: str, default: float) -> Value[float]:
        otherwise = Value.default(default, PEEWEE, place) if url.is_known else unsaid
        read = zero_is_unlimited if key == "timeout" else number
        return parameter_of(url, key, read, otherwise, place)

    yield Pool(
        implementation="unknown",
        size=of("max_connections", 20.0),
        max_overflow=Value.default(0.0, PEEWEE, place),
        timeout_s=of("timeout", 0.0),
        recycle_s=of("stale_timeout", math.inf),
        pre_ping=Value.default(False, PEEWEE, place),
        target=target_from(url, place),
        **making.shared(),
    )


def _queue_pool(making: Making, call: ast.Call) -> Iterator[Pool]:
    """SQLAlchemy's pool without an engine, of what a driver of PostgreSQL connects."""
    module = making.expressions.module
    engines = [keyword(each, "pool") for each in module.calls if last_name(each.func) in ENGINES]
    given = [module.meant(node) for node in engines if node is not None]
    drivers = {full.partition(".")[0] for full in module.imports.values()}
    if call in given or not drivers & _DRIVERS:
        return
    pool = engine(replace(making, said=given_pool(making.expressions, call)), None)
    if pool is not None:
        connects: Value[float] = Value.unknown("what it calls connects it", making.place)
        yield replace(pool, connect_timeout_s=connects)


def _tortoise(making: Making, call: ast.Call) -> Iterator[Pool]:
    """By a URL; a configuration is read where it is written, and one that is not seen is told."""
    expressions, nodes = making.expressions, making.said.nodes
    if (node := nodes.get("db_url")) is not None:
        yield from _tortoises(making, node)
        return
    first = 0 if last_name(call.func) == "init" else 1
    positional = call.args[first] if len(call.args) > first else None
    config = nodes.get("config") or positional
    meant = None if config is None else expressions.module.meant(config)
    elsewhere = isinstance(meant, ast.Name) and meant.id in expressions.module.imports
    if isinstance(meant, ast.Dict | ast.Attribute) or elsewhere:
        return
    why = "what Tortoise is configured with is not to be seen"
    unseen: Value[float] = Value.unknown(why, making.place)
    none: Value[float] = Value.default(0.0, TORTOISE, making.place)
    yield Pool(implementation="unknown", size=unseen, max_overflow=none, **making.shared())


def _configured(module: Module) -> Iterator[tuple[ast.AST, Pool]]:
    """Tortoise's configurations: dicts with ``connections`` and ``apps``."""
    if "connections" not in module.file.text or "apps" not in module.file.text:
        return
    expressions = Expressions(module)
    for node in module.nodes:
        if not isinstance(node, ast.Dict):
            continue
        keys = {text_of(key) for key in node.keys}
        if not {"connections", "apps"} <= keys:
            continue
        connections = expressions.entries(node).nodes["connections"]
        for name, value in expressions.entries(connections).nodes.items():
            place = module.place(value, f"connections[{name}]")
            making = Making(expressions, node, Entries(), place, name, is_async=True)
            opened = Value[bool].unknown("Tortoise opens it, and no file says when", place)
            for pool in _tortoises(making, value):
                yield node, replace(pool, made_at_import=opened)


def _tortoises(making: Making, node: ast.expr) -> Iterator[Pool]:
    """One connection of Tortoise's: a URL, or an engine with its credentials."""
    expressions, place = making.expressions, making.place
    whole = expressions.entries(node)
    if "engine" in whole.nodes:
        engine = expressions.text(whole.nodes["engine"], "engine").known or ""
        if not engine.endswith(_TORTOISES_POSTGRESQL):
            return
        said = expressions.entries(whole.nodes.get("credentials"))
        target = target_of_arguments(expressions, said, place)
        url = Url(target, Value.unknown("no URL is said", place))
        making = replace(making, said=said)
    else:
        making = replace(making, said=Entries())
        url = _url(expressions, node, place)
        if url.is_another:
            return
    sizes = _size(making, url, "minsize", 1.0), _size(making, url, "maxsize", 5.0)
    yield asyncpg_pool(making, url, sizes)


def _url(expressions: Expressions, node: ast.expr, place: Place) -> Url:
    """Tortoise's URLs may begin with the driver's name."""
    text = expressions.text(node, "the database URL")
    if text.known is None and text.variable is None:
        pieces = expressions.pieces(node, "the database URL") or [""]
        if str(pieces[0]).startswith(tuple(f"{each}://" for each in _TORTOISES_POSTGRESQL)):
            return Url(Target(), Value.unknown("its URL is put together", place))
        return url_of(expressions, node, place)
    usual = text.map(_usual)
    known = usual.known if usual.variable is None else None
    return Url(target_from(usual, place), usual, known is not None and not is_postgresql(known))


def _usual(text: str) -> str:
    scheme, found, rest = text.partition("://")
    return f"postgresql://{rest}" if found and scheme in _TORTOISES_POSTGRESQL else text


def _size(making: Making, url: Url, key: str, default: float) -> Value[float]:
    """What the call says, else the URL's parameter, else the default."""
    if key in making.said.nodes:
        return making.expressions.number(making.said.nodes[key], key)
    whose = TORTOISE if key in ("minsize", "maxsize") else ASYNCPG
    unsaid: Value[float] = Value.default(default, whose, making.place)
    if making.said.hides_some:
        return Value.unknown(f"{key} may be in the ** of the call", making.place)
    return parameter_of(url.text, key, number, unsaid, making.place)


_PEEWEES = ("PooledPostgresqlDatabase", "PooledPostgresqlExtDatabase", "PooledPsycopg3Database")
_READ: Mapping[str, Callable[[Making, ast.Call], Iterator[Pool]]] = {
    "Database": _databases,
    "set_bind": _gino,
    "Gino": _gino,
    "start_connection_pool": _piccolo,
    "create_pool": _aiopg,
    "QueuePool": _queue_pool,
    "connect": _peewee_url,
    "init": _tortoise,
    "register_tortoise": _tortoise,
    "RegisterTortoise": _tortoise,
    **dict.fromkeys(_PEEWEES, _peewee),
}
_PACKAGES = {
    "Database": ("databases",),
    "set_bind": ("gino",),
    "Gino": ("gino",),
    "start_connection_pool": ("piccolo",),
    "create_pool": ("aiopg",),
    "QueuePool": ("sqlalchemy",),
    "connect": ("playhouse",),
    **dict.fromkeys(("init", "register_tortoise", "RegisterTortoise"), ("tortoise",)),
    **dict.fromkeys(_PEEWEES, ("playhouse", "peewee")),
}
LIBRARIES = frozenset(_READ)
"""What makes such a pool, by its last name."""

_METHODS = frozenset({"set_bind", "start_connection_pool"})
_SYNCHRONOUS = frozenset({*_PEEWEES, "QueuePool", "connect"})
_POOLED = re.compile(r"\s*postgres(?:ql)?(?:ext)?\+pool://", re.IGNORECASE)
_DRIVERS = frozenset({"psycopg", "psycopg2", "pg8000"})
