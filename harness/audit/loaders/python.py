"""Python sources that make pools, read as syntax trees and never executed."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from harness.audit.chain import Pool, Workload
from harness.audit.finding import Unread
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value

T = TypeVar("T")

ENGINES = frozenset({"create_engine", "create_async_engine"})
POOLS = frozenset({"ConnectionPool", "AsyncConnectionPool"})
SQLALCHEMY, PSYCOPG_POOL = "SQLAlchemy", "psycopg_pool"
NOT_A_LIMITED_POOL = "NullPool"


def recognises(file: SourceFile) -> bool:
    """By what it calls."""
    return file.path.suffix == ".py" and any(f"{name}(" in file.text for name in ENGINES | POOLS)


def load(file: SourceFile) -> Reading:
    """A workload for each pool that is made; how many processes run the file, it cannot say."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange escapes, for instance: not our matter
            tree = ast.parse(file.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 0
        return Reading(unread=(Unread(file.name, f"not Python: {type(error).__name__}", line),))
    pools = [
        found for call, called in _calls(tree) if (found := _pool(file, call, called)) is not None
    ]
    unsaid: Value[int] = Value.unknown(f"nothing says how many processes run {file.name}")
    return Reading(
        workloads=tuple(
            Workload(
                name=f"{file.name}:{pool.place.line}",
                place=pool.place,
                replicas=unsaid,
                processes=unsaid,
                pools=(pool,),
            )
            for pool in pools
        )
    )


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if name in ENGINES | POOLS:
                yield node, name


def _name(function: ast.expr) -> str:
    """The last part of what is called: ``sa.create_engine`` is ``create_engine``."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _pool(file: SourceFile, call: ast.Call, called: str) -> Pool | None:
    """The pool of this call; None for an engine on a database that is not a server."""
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Constant) and str(first.value).startswith("sqlite"):
        return None
    said = _Said(file, call)
    place = Place(file.name, call.lineno, called)
    if called in POOLS:
        return _psycopg_pool(said, place)
    engine = _Defaulted(said, SQLALCHEMY, place)
    classed = said.nodes.get("poolclass")
    unlimited = classed is not None and _name(classed) == NOT_A_LIMITED_POOL
    return Pool(
        name=place.key,
        place=place,
        implementation="none" if unlimited else "sqlalchemy",
        size=engine.number("pool_size", 5.0).map(lambda size: size or math.inf),
        max_overflow=engine.number("max_overflow", 10.0).map(
            lambda overflow: math.inf if overflow < 0 else overflow
        ),
        timeout_s=engine.number("pool_timeout", 30.0),
        recycle_s=engine.number("pool_recycle", -1.0).map(
            lambda recycle: math.inf if recycle < 0 else recycle
        ),
        pre_ping=engine.truth("pool_pre_ping", False),
        use_lifo=engine.truth("pool_use_lifo", False),
    )


def _psycopg_pool(said: _Said, place: Place) -> Pool:
    """``max_size`` is ``min_size`` where it is not said; ``max_waiting=0`` is no bound."""
    pool = _Defaulted(said, PSYCOPG_POOL, place)
    least = pool.number("min_size", 4.0)
    checked = "check" in said.nodes
    return Pool(
        name=place.key,
        place=place,
        implementation="psycopg-pool",
        size=pool.number("max_size", 0.0) if "max_size" in said.nodes else least,
        max_overflow=Value.default(0.0, PSYCOPG_POOL, place),
        min_size=least,
        max_waiting=pool.number("max_waiting", 0.0).map(lambda waiting: waiting or math.inf),
        timeout_s=pool.number("timeout", 30.0),
        recycle_s=pool.number("max_lifetime", 3600.0),
        pre_ping=Value.at(True, place) if checked else Value.default(False, PSYCOPG_POOL, place),
        use_lifo=Value.default(False, PSYCOPG_POOL, place),
    )


class _Said:
    """The keywords of a call."""

    def __init__(self, file: SourceFile, call: ast.Call) -> None:
        self.file = file
        self.nodes: Mapping[str, ast.expr] = {
            keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None
        }
        self.hides_some = any(keyword.arg is None for keyword in call.keywords)
        """Whether there is a ``**mapping``, in which anything may be."""


class _Defaulted:
    """Constants of a call, and a product's defaults for what is not among its keywords."""

    def __init__(self, said: _Said, whose: str, place: Place) -> None:
        self._said = said
        self._whose = whose
        self._place = place

    def number(self, keyword: str, default: float) -> Value[float]:
        """A number; what is computed is unknown."""
        return self._value(keyword, default, (int, float)).map(float)

    def truth(self, keyword: str, default: bool) -> Value[bool]:
        """True or False."""
        return self._value(keyword, default, (bool,))

    def _value(self, keyword: str, default: T, kinds: tuple[type, ...]) -> Value[T]:
        node = self._said.nodes.get(keyword)
        if node is None:
            if self._said.hides_some:
                return Value.unknown(f"{keyword} may be in the ** of the call", self._place)
            return Value.default(default, self._whose, self._place)
        place = Place(self._said.file.name, node.lineno, keyword)
        value: Any
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return Value.unknown(f"{keyword} is computed when the code runs", place)
        if isinstance(value, kinds):
            return Value.at(cast(T, value), place)
        return Value.unknown(f"{keyword} is not understood", place)
