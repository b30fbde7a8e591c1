"""Calls that make pools, and what is said in them of any pool alike."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.mappings import Entries
from harness.audit.loaders.python.serving import threads_of
from harness.audit.loaders.python.syntax import Module, last_name
from harness.audit.values import Place, Value

T = TypeVar("T")

ENGINES = frozenset({"create_engine", "create_async_engine"})
CONFIGURED = frozenset({"engine_from_config", "async_engine_from_config"})
POOLS = frozenset({"ConnectionPool", "AsyncConnectionPool"})
WITHOUT_POOL = frozenset({"NullConnectionPool", "AsyncNullConnectionPool"})
OLD_POOLS = frozenset(
    {"SimpleConnectionPool", "ThreadedConnectionPool", "PersistentConnectionPool"}
)
MAKERS = ENGINES | CONFIGURED | POOLS | WITHOUT_POOL | OLD_POOLS | {"create_pool"}
"""All that makes a pool, by its last name."""

_PACKAGES = {
    **dict.fromkeys(ENGINES | CONFIGURED, ("sqlalchemy", "sqlmodel")),
    **dict.fromkeys(POOLS | WITHOUT_POOL, ("psycopg_pool",)),
    **dict.fromkeys(OLD_POOLS, ("psycopg2",)),
    "create_pool": ("asyncpg",),
}
_ALWAYS_IMPORTED = frozenset({"create_pool"})
"""Names that other packages have too: they count only where they are seen to come from ours."""


def made(module: Module) -> Sequence[tuple[ast.Call, str]]:
    """Every call that makes a pool, with the name of what is called."""
    return module.once_found(_made)


def _made(module: Module) -> Sequence[tuple[ast.Call, str]]:
    return [*_makings(module)]


def _makings(module: Module) -> Iterator[tuple[ast.Call, str]]:
    for call in [*module.calls]:
        whole = _with_what_is_bound(module, call)
        name = module.qualified(whole.func).rpartition(".")[2]
        if name in MAKERS and _is_ours(module, whole.func, name):
            yield whole, name


def _with_what_is_bound(module: Module, call: ast.Call) -> ast.Call:
    """A call of ``partial(create_engine, pool_size=7)`` as one of `create_engine`."""
    bound = module.meant(call.func)
    if not isinstance(bound, ast.Call) or last_name(bound.func) != "partial" or not bound.args:
        return call
    later = {each.arg for each in call.keywords}
    earlier = [each for each in bound.keywords if each.arg is None or each.arg not in later]
    return module.in_place_of(
        call, ast.Call(bound.args[0], [*bound.args[1:], *call.args], [*earlier, *call.keywords])
    )


def _is_ours(module: Module, function: ast.expr, name: str) -> bool:
    """By the import; a name whose origin the file does not show is believed."""
    first = function
    while isinstance(first, ast.Attribute):
        first = first.value
    if not isinstance(first, ast.Name):
        return False
    if first.id not in module.imports:
        defined = first.id in module.bound
        return not defined and name not in _ALWAYS_IMPORTED and function is first
    return module.imports[first.id].partition(".")[0] in _PACKAGES[name]


@dataclass(frozen=True, slots=True)
class Making:
    """What makes a pool: its node and arguments, and what the pool is called."""

    expressions: Expressions
    node: ast.AST
    said: Entries
    place: Place
    name: str
    is_async: bool

    def argument(self, name: str, call: ast.Call) -> ast.expr | None:
        """The first argument of the call, or what it gives for ``name``."""
        return call.args[0] if call.args else self.said.nodes.get(name)

    def shared(self) -> dict[str, Any]:
        """What is said of any pool alike, as `Pool`'s fields."""
        threads: Value[float] = (
            Value.unknown("nothing limits requests before the pool", self.place)
            if self.is_async
            else threads_of(self.expressions.module)
        )
        return {
            "name": self.name,
            "place": self.place,
            "is_async": Value.at(self.is_async, self.place),
            "made_at_import": made_at_import(self.expressions.module, self.node, self.place),
            "threads": threads,
        }


class Given:
    """Arguments of a call, and a product's defaults for what is not among them."""

    def __init__(self, making: Making, whose: str) -> None:
        self._expressions = making.expressions
        self._said = making.said
        self._whose = whose
        self._place = making.place

    def number(self, key: str, default: float, nothing: float | None = None) -> Value[float]:
        """A number; ``nothing`` is what None stands for, the default where that is not said."""
        node = self._said.nodes.get(key)
        if node is None:
            return self._not_said(key, default)
        return self._expressions.number(node, key, default if nothing is None else nothing)

    def truth(self, key: str, default: bool) -> Value[bool]:
        """True or False."""
        node = self._said.nodes.get(key)
        return self._not_said(key, default) if node is None else self._expressions.truth(node, key)

    def _not_said(self, key: str, default: T) -> Value[T]:
        if self._said.hides_some:
            return Value.unknown(f"{key} may be in the ** of the call", self._place)
        return Value.default(default, self._whose, self._place)


def made_at_import(module: Module, node: ast.AST, place: Place) -> Value[bool]:
    """Whether this runs when the module is imported, by itself or in a function called there."""
    function = module.function_of(node)
    if function is None:
        return Value.at(True, place)
    name = getattr(function, "name", "")
    for call in module.calls:
        if name and last_name(call.func) == name and module.function_of(call) is None:
            return Value.at(True, place)
    return Value.unknown("it is made in a function, and no file says when that runs", place)
