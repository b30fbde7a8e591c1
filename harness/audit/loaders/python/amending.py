"""What a settings module does to ``DATABASES`` after it is set, here or in what it imports.

``DATABASES["default"]["CONN_MAX_AGE"] = 60``, ``["OPTIONS"]["connect_timeout"] = 5``, with
``setdefault`` and ``update``. What is done under a condition, or in another way, is not known.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.mappings import CONDITIONAL, Entries
from harness.audit.loaders.python.syntax import Module, text_of

DATABASES = "DATABASES"
ALL = ""
"""Stands for every alias."""

_HIDDEN = Entries({}, True)
_READING = frozenset({"get", "copy", "keys", "__getitem__", "__contains__"})
_CHANGING = frozenset({"update", "setdefault", "pop", "popitem", "clear"})
_PASSED = (ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.Call, ast.keyword, ast.For)
"""What may change a mapping, under another name."""


@dataclass(slots=True)
class Amended:
    """One database's settings as they are changed: by key, and those of its ``OPTIONS``."""

    node: ast.AST
    nodes: dict[str, ast.expr] = field(default_factory=dict)
    options: dict[str, ast.expr] = field(default_factory=dict)
    hides_some: bool = False
    hides_options: bool = False

    def of(self, said: Entries) -> Entries:
        """The settings with what is changed of them."""
        kept = ("ENGINE",) if self.hides_some else said.nodes
        nodes = {key: said.nodes[key] for key in kept if key in said.nodes}
        return Entries({**nodes, **self.nodes}, said.hides_some or self.hides_some)

    def of_options(self, said: Entries) -> Entries:
        """The ``OPTIONS`` with what is changed of them."""
        hides = self.hides_some or self.hides_options
        nodes = {} if hides else said.nodes
        return Entries({**nodes, **self.options}, said.hides_some or hides)

    def note(self, keys: list[str | None], said: Entries) -> None:
        """What is said of the mapping below ``keys``."""
        if keys == ["OPTIONS"]:
            self.options.update(said.nodes)
            self.hides_options = self.hides_options or said.hides_some
        elif keys:
            # Something deeper, such as the options' pool: what that was is not known any more.
            self.hides_options = self.hides_options or keys[0] in ("OPTIONS", None)
            self.hides_some = self.hides_some or keys[0] is None
        else:
            if "OPTIONS" in said.nodes:
                self.options.clear()
            self.nodes.update(said.nodes)
            self.hides_some = self.hides_some or said.hides_some


def amended(expressions: Expressions) -> dict[str, Amended]:
    """By alias, in the order of the file; what is done to all of them is that of `ALL`."""
    module = expressions.module
    found: dict[str, Amended] = {}
    for name in module.names.get(DATABASES, ()):
        keys, node = _path(module, name)
        said = _said(expressions, keys, node)
        if said is None:
            continue
        is_set = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
        inner = keys[:-1] if is_set else keys
        alias = (inner[0] or ALL) if inner else ALL
        found.setdefault(alias, Amended(node)).note(inner[1:], said)
    return found


def of_alias(changes: Mapping[str, Amended], alias: str) -> list[Amended]:
    """What is done to one database, and to all of them, in the order of the file."""
    found = [changes[key] for key in (ALL, alias) if key in changes]
    return sorted(found, key=lambda each: getattr(each.node, "lineno", 0))


def imports_from(module: Module) -> str:
    """The module whose ``DATABASES`` is this one's, as it is imported; "" where it sets its own."""
    if any(value is not None for value in module.bound.get(DATABASES, ())):
        return ""
    if DATABASES in module.imports:
        return module.imports[DATABASES].removesuffix(f".{DATABASES}")
    return module.imports.get("*", "").removesuffix(".*")


def _path(module: Module, name: ast.Name) -> tuple[list[str | None], ast.AST]:
    """The keys that an expression leads through, and the outermost of it.

    ``….setdefault("OPTIONS", {})[key]`` leads where ``["OPTIONS"][key]`` does. A key that is no
    literal is None.
    """
    keys: list[str | None] = []
    node: ast.AST = name
    while (above := module.parent(node)) is not None:
        if isinstance(above, ast.Subscript) and above.value is node:
            keys.append(text_of(above.slice))
            node = above
            continue
        call = module.parent(above)
        if (
            isinstance(above, ast.Attribute)
            and above.attr in ("setdefault", "get")
            and isinstance(call, ast.Call)
            and call.args
            and isinstance(module.parent(call), ast.Subscript | ast.Attribute)
        ):
            keys.append(text_of(call.args[0]))
            node = call
            continue
        break
    return keys, node


def _said(expressions: Expressions, keys: list[str | None], node: ast.AST) -> Entries | None:
    """What is done at a place to the mapping that it leads to; None where it is only read."""
    module = expressions.module
    above = module.parent(node)
    said: Entries | None = None
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        value = above.value if isinstance(above, ast.Assign) and node in above.targets else None
        if len(keys) == 1 and keys[0] is not None and value is not None:
            return None  # a database as a whole: it is read as such
        key = keys[-1]
        said = Entries({key: value}) if key is not None and value is not None else _HIDDEN
    elif isinstance(above, ast.Attribute) and isinstance(call := module.parent(above), ast.Call):
        loop = module.parent(call)
        looped = above.attr in ("items", "values") and isinstance(loop, ast.For)
        if looped and isinstance(loop, ast.For) and not _changes(loop):
            return None
        said = _by_method(expressions, above.attr, call)
    elif isinstance(above, _PASSED) and (len(keys) < 2 or keys[1:] == ["OPTIONS"]):
        return _HIDDEN
    conditional = module.function_of(node) is not None or any(
        isinstance(each, CONDITIONAL) for each in module.around(node)
    )
    if said is None or not conditional:
        return said
    return Entries({key: _undecided(value) for key, value in said.nodes.items()}, said.hides_some)


def _changes(loop: ast.For) -> bool:
    """Whether a loop over mappings may change them: it sets a key, or hands one on."""
    names = {each.id for each in ast.walk(loop.target) if isinstance(each, ast.Name)}
    for node in (inner for statement in loop.body for inner in ast.walk(statement)):
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            if _root(node) in names:
                return True
        elif isinstance(node, ast.Call):
            method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if method and _root(node.func) in names and method in _CHANGING:
                return True
            given = (*node.args, *(each.value for each in node.keywords))
            if any(isinstance(each, ast.Name) and each.id in names for each in given):
                return True
        elif isinstance(node, ast.Assign | ast.NamedExpr) and _root(node.value) in names:
            return True
    return False


def _root(node: ast.expr) -> str:
    """The name that an expression begins with."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _undecided(value: ast.expr) -> ast.expr:
    """An expression of which nothing is known: the value may be set, and may be another's."""
    return ast.copy_location(ast.Name("", ast.Load()), value)


def _by_method(expressions: Expressions, method: str, call: ast.Call) -> Entries | None:
    """``update(…)``; ``setdefault("OPTIONS", {})``, which says nothing more; and others."""
    if method in _READING:
        return None
    if method == "update":
        parts = [expressions.entries(each) for each in call.args]
        parts.append(expressions.keywords(call))
        nodes = {key: value for part in parts for key, value in part.nodes.items()}
        return Entries(nodes, any(part.hides_some for part in parts))
    if method == "setdefault" and isinstance(expressions.module.parent(call), ast.Expr):
        default = call.args[1] if len(call.args) == 2 else None
        if isinstance(default, ast.Dict) and not default.keys:
            return None
    return _HIDDEN
