"""Who holds a connection: names that connections come from, and sessions that are passed on."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.audit.loaders.python.making import ENGINES, made
from harness.audit.loaders.python.syntax import (
    Function,
    Module,
    defaults_of,
    inside,
    keyword,
    last_name,
    text_of,
)

_SESSIONMAKERS = re.compile(r"\w*session_?maker|\w*session_?factory|scoped_session", re.IGNORECASE)
_OWN_MODULE = re.compile(r"^(?!sqlalchemy|sqlmodel).*(db|database|session|engine|model|store)")
_SESSIONS = frozenset({"Session", "AsyncSession"})
_ENGINE_NAME = re.compile(r"(\w+_)?engine", re.IGNORECASE)
_POOL_NAME = re.compile(r"(\w+_)?pool", re.IGNORECASE)
_FACTORY_NAME = re.compile(
    r"(\w+_)?((async_?)?session_?(local|maker|factory)|async_session|session_scope)"
    r"|get_(\w+_)?(db|session)(_\w+)?",
    re.IGNORECASE,
)
_READING = re.compile(
    r"_?(get|find|fetch|read|list|load|look_?up|select|search|count|exists|has|is|can|check|verify"
    r"|require|validate|user_can)(_\w+)?"
)
"""Functions that are given a session and, by their name, only read: they do not commit."""
_RELEASES = frozenset({"commit", "rollback", "close", "aclose"})
_SESSION_TYPES = frozenset({"Session", "AsyncSession", "Connection", "AsyncConnection"})


@dataclass(frozen=True, slots=True)
class Held:
    """A connection that is held: of which pool, and from where on."""

    source: str
    kind: str
    node: ast.AST


class Sources:
    """Names of a module that connections come from, each with the pool that it stands for."""

    def __init__(self, module: Module) -> None:
        makers = {id(call): name for call, name in made(module)}
        # Not the module itself, which keeps this: each would keep the other alive.
        self._imports, self._bound = module.imports, module.bound
        self._functions = frozenset(function.name for function in module.functions)
        self._has_sessions = any(
            full.partition(".")[0] in ("sqlalchemy", "sqlmodel") for full in module.imports.values()
        )
        self._engines: set[str] = set()
        self._pools: set[str] = set()
        self._factories: dict[str, str] = {}
        for name, values in module.bound.items():
            for value in values:
                if not isinstance(value, ast.Call | ast.Await):
                    continue
                call = value.value if isinstance(value, ast.Await) else value
                if not isinstance(call, ast.Call):
                    continue
                maker = makers.get(id(call), "")
                if maker in ENGINES:
                    self._engines.add(name)
                elif maker:
                    self._pools.add(name)
                elif _SESSIONMAKERS.fullmatch(last_name(call.func)):
                    self._factories[name] = self._engine_of(call)

    def _engine_of(self, call: ast.Call) -> str:
        """What a sessionmaker is bound to; "" where the call does not say."""
        bind = keyword(call, "bind") or (call.args[0] if call.args else None)
        return "" if bind is None else last_name(bind)

    def held_by(self, node: ast.expr) -> Held | None:
        """What an expression takes from a pool; None for anything else."""
        if isinstance(node, ast.Await):
            node = node.value
        if not isinstance(node, ast.Call):
            return None
        function = node.func
        if isinstance(function, ast.Attribute):
            name = last_name(function.value)
            if function.attr in ("connect", "begin") and self._is_engine(name):
                return Held(name, "engine", node)
            if function.attr in ("connection", "acquire") and self._is_pool(name):
                return Held(name, "pool", node)
            if function.attr == "begin" and self._is_factory(name):
                return self._session(name, node)
            return self._session(function.attr, node) if self._is_factory(function.attr) else None
        name = last_name(function)
        if name in _SESSIONS and node.args and name in self._imports:
            return Held(last_name(node.args[0]), "engine", node)
        return self._session(name, node) if self._is_factory(name) else None

    def _session(self, name: str, node: ast.AST) -> Held:
        engine = self._factories.get(name, "")
        return Held(engine, "engine", node) if engine else Held(name, "session", node)

    def _is_engine(self, name: str) -> bool:
        return name in self._engines or _ENGINE_NAME.fullmatch(name) is not None

    def _is_pool(self, name: str) -> bool:
        return name in self._pools or _POOL_NAME.fullmatch(name) is not None

    def _is_factory(self, name: str) -> bool:
        """By where it comes from; by habit, where that is another file or a caller.

        What the file itself sets, in a ``with`` for instance, is a session of that name.
        """
        if name in self._factories:
            return True
        if name in _SESSIONS:  # of a module of its own, not SQLAlchemy's or an HTTP client's
            origin = self._imports.get(name, "")
            return self._has_sessions and _OWN_MODULE.search(origin) is not None
        if not self._has_sessions or _FACTORY_NAME.fullmatch(name) is None:
            return False
        elsewhere = name not in self._bound or name in self._imports
        return elsewhere or name in self._functions

    def are_one(self, one: Held, other: Held) -> bool:
        """Whether both come from the same pool, as far as the file shows."""
        if one.kind == other.kind:
            return one.source == other.source
        if "pool" in (one.kind, other.kind):
            return False
        # A session whose engine is made elsewhere, and the one engine that is known here.
        return len(self._engines) <= 1


def sources_of(module: Module) -> Sources:
    """Where the connections of a module come from."""
    return module.once_found(Sources)


@dataclass(slots=True)
class Body:
    """What a function does itself, each with the connections that are held around it."""

    taken: list[tuple[Held, tuple[Held, ...]]] = field(default_factory=list)
    """Connections that a ``with`` takes."""

    calls: list[tuple[ast.Call, tuple[Held, ...]]] = field(default_factory=list)


def bodies_of(module: Module) -> Mapping[Function, Body]:
    """Every function's, where the module takes a connection in a ``with``; else none."""
    return module.once_found(_bodies)


def _bodies(module: Module) -> Mapping[Function, Body]:
    sources = sources_of(module)
    items = (item for each in module.withs for item in each.items)
    if not any(sources.held_by(item.context_expr) for item in items):
        return {}
    return {function: _body(function, sources) for function in module.functions}


def _body(function: Function, sources: Sources) -> Body:
    found = Body()
    todo: list[tuple[ast.AST, tuple[Held, ...]]] = [
        (statement, ()) for statement in reversed(function.body)
    ]
    while todo:
        node, above = todo.pop()
        if isinstance(node, Function | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Call):
            found.calls.append((node, above))
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                if (taken := sources.held_by(item.context_expr)) is not None:
                    found.taken.append((taken, above))
                    above = (*above, taken)
            todo += [(child, above) for child in reversed(node.body)]
        else:
            todo += [(child, above) for child in reversed([*ast.iter_child_nodes(node)])]
    return found


def _depends(node: ast.expr | None) -> ast.Call | None:
    """``Depends(…)``, also inside of ``Annotated[…]``."""
    if isinstance(node, ast.Call) and last_name(node.func) == "Depends":
        return node
    if isinstance(node, ast.Subscript) and last_name(node.value) == "Annotated":
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
        return next((found for each in parts if (found := _depends(each)) is not None), None)
    return None


def given_session(module: Module, function: Function) -> str:
    """The parameter in which an endpoint is given a session of a dependency; "" for none.

    A dependency with ``scope="function"`` ends before the answer is sent.
    """
    for argument, default in defaults_of(function):
        annotation = argument.annotation
        meant = None if annotation is None else module.meant(annotation)
        found = _depends(default) or _depends(meant)
        if found is not None and _is_session(module, found, meant):
            return argument.arg
    return ""


def is_session(module: Module, node: ast.expr) -> bool:
    """Whether an annotation is a session of a dependency: ``Annotated[Session, Depends(…)]``."""
    found = _depends(node)
    return found is not None and _is_session(module, found, node)


def _is_session(module: Module, depends: ast.Call, meant: ast.expr | None) -> bool:
    if text_of(keyword(depends, "scope")) == "function":
        return False
    dependency = depends.args[0] if depends.args else keyword(depends, "dependency")
    parts = () if meant is None else ast.walk(meant)
    typed = {last_name(each) for each in parts if isinstance(each, ast.expr)}
    return dependency is not None and bool(
        typed & _SESSION_TYPES or _yields_a_session(module, last_name(dependency))
    )


def _yields_a_session(module: Module, name: str) -> bool:
    """Whether a dependency of this file yields a session and closes it afterwards."""
    sources = sources_of(module)
    for function in module.functions:
        if function.name != name:
            continue
        body = [*inside(function)]
        yields = any(isinstance(each, ast.Yield) for each in body)
        takes = any(isinstance(each, ast.expr) and sources.held_by(each) for each in body)
        return yields and takes
    return False


def _steps(function: Function, session: str) -> list[tuple[int, bool]]:
    """Lines of a function that use its session, and whether that is held from there on.

    A method of the session takes a connection, but for those that release it. So does a function
    that only reads by its name; of another, it is not known what it does.
    """
    found: list[tuple[int, int, bool]] = []
    for each in inside(function):
        if not isinstance(each, ast.Call):
            continue
        callee = each.func
        at = each.lineno, each.col_offset
        if isinstance(callee, ast.Attribute) and last_name(callee.value) == session:
            found.append((*at, callee.attr not in _RELEASES))
        elif any(
            isinstance(given, ast.Name) and given.id == session
            for given in (*each.args, *(passed.value for passed in each.keywords))
        ):
            found.append((*at, _READING.fullmatch(last_name(callee)) is not None))
    return [(line, held) for line, _, held in sorted(found)]


def is_held(function: Function, session: str, at: ast.AST | None = None) -> bool:
    """Whether the session has been used, and not released since, ``at`` a place or at the end."""
    line = getattr(at, "lineno", None)
    before = [held for used, held in _steps(function, session) if line is None or used < line]
    return bool(before) and before[-1]
