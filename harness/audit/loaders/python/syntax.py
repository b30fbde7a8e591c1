"""A Python module as its syntax tree: what its names stand for, and what is inside of what."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.audit.loaders.python.newer import NotPython as NotPython
from harness.audit.loaders.python.newer import tree_of
from harness.audit.sources import SourceFile
from harness.audit.values import Place

T = TypeVar("T")

Function = ast.FunctionDef | ast.AsyncFunctionDef
_LEAVES = (ast.Name, ast.Constant, ast.operator, ast.cmpop)
DEEPEST = 40
"""Of expressions and references in one another; what is deeper is not understood."""


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping's entries by name; with ``hides_some`` there may be others."""

    nodes: Mapping[str, ast.expr] = field(default_factory=dict)
    hides_some: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is done to a mapping: one key is set, or (None) several are, or any."""

    node: ast.AST
    key: str | None
    value: ast.expr | None


@dataclass(frozen=True, slots=True)
class Brought:
    """A definition of another file, which this one imports by its name."""

    name: str
    statement: ast.stmt
    file: str


class Module:
    """One file's tree, with what is ``brought`` into it. Raises `NotPython`."""

    def __init__(self, file: SourceFile, brought: Sequence[Brought] = ()) -> None:
        self.file = file
        self.tree = tree_of(file.text)
        self.tree.body[:0] = [each.statement for each in brought]
        self._brought = frozenset(each.name for each in brought)
        self._files = {node: each.file for each in brought for node in ast.walk(each.statement)}
        self.imports: dict[str, str] = {}
        """What a name that is imported is called in full: ``sa`` is ``sqlalchemy``."""

        self.bound: dict[str, list[ast.expr | None]] = {}
        """Everything that a name is ever set to; None for what is no plain assignment."""

        self.parameters: dict[str, ast.arg] = {}
        """Parameters of functions, by name."""

        self.changes: dict[str, list[Change]] = {}
        """What is done to mappings, by name, after they are made."""

        self.names: dict[str, list[ast.Name]] = {}
        """Where a name is used."""

        self.attributes_set: dict[str, list[ast.Attribute]] = {}
        """What is set of objects, by the attribute's name."""

        self._called: dict[str, list[ast.Call]] = {}
        self.calls: list[ast.Call] = []
        self.functions: list[Function] = []
        self.withs: list[ast.With | ast.AsyncWith] = []
        self.classes: dict[str, ast.ClassDef] = {}
        self._parents: dict[ast.AST, ast.AST] = {}
        self._found: dict[Callable[[Module], Any], Any] = {}
        self.nodes: list[ast.AST] = [self.tree]
        """Everything in the tree, what is outside before what is inside."""

        for node in self.nodes:  # which grows meanwhile
            inner = () if isinstance(node, _LEAVES) else ast.iter_child_nodes(node)
            for child in inner:
                if not isinstance(child, ast.expr_context):  # one and the same everywhere
                    self._parents[child] = node
                    self.nodes.append(child)
            self._note(node)

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            self.calls.append(node)
            if isinstance(node.func, ast.Name):
                self._called.setdefault(node.func.id, []).append(node)
            elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
                self._note_method(node, node.func.value.id, node.func.attr)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            self._note_item(node)
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                self._bind(node.id, self._assigned_to(node))
            else:
                self.names.setdefault(node.id, []).append(node)
        elif isinstance(node, ast.Attribute):
            if not isinstance(node.ctx, ast.Load):
                self.attributes_set.setdefault(node.attr, []).append(node)
        elif isinstance(node, ast.arg):
            self._bind(node.arg, None)
            self.parameters[node.arg] = node
        elif isinstance(node, ast.Import):
            for each in node.names:
                name = each.asname or each.name.partition(".")[0]
                self.imports[name] = each.name if each.asname else name
                self._bind(name, None)
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                name = each.asname or each.name
                if name in self._brought:
                    continue
                self.imports[name] = f"{'.' * node.level}{node.module or ''}.{each.name}"
                self._bind(name, None)
        elif isinstance(node, ast.ClassDef):
            self.classes[node.name] = node
            self._bind(node.name, None)
        elif isinstance(node, Function):
            self.functions.append(node)
            self._bind(node.name, None)
        elif isinstance(node, ast.With | ast.AsyncWith):
            self.withs.append(node)

    def once_found(self, find: Callable[[Module], T]) -> T:
        """What ``find`` finds in the module: as that stays as it is, it is looked for once."""
        if find not in self._found:
            self._found[find] = find(self)
        found: T = self._found[find]
        return found

    def _note_method(self, call: ast.Call, name: str, method: str) -> None:
        if method == "update":
            for each in call.args:
                self._change(name, Change(call, None, each))
            for given in call.keywords:
                self._change(name, Change(call, given.arg, given.value))
        elif method in ("pop", "popitem", "clear", "setdefault"):
            self._change(name, Change(call, None, None))

    def _note_item(self, node: ast.Subscript) -> None:
        if not isinstance(node.value, ast.Name):
            return
        parent = self._parents.get(node)
        key, value = text_of(node.slice), None
        if isinstance(parent, ast.Assign) and node in parent.targets:
            value = parent.value
        self._change(node.value.id, Change(node, key if value is not None else None, value))

    def _change(self, name: str, change: Change) -> None:
        self.changes.setdefault(name, []).append(change)

    def _bind(self, name: str, value: ast.expr | None) -> None:
        self.bound.setdefault(name, []).append(value)

    def _assigned_to(self, name: ast.Name) -> ast.expr | None:
        """What this name is set to, where it is set in a plain assignment."""
        parent = self._parents.get(name)
        if isinstance(parent, ast.Assign) and name in parent.targets:
            return parent.value
        return parent.value if isinstance(parent, ast.AnnAssign) else None

    def once(self, name: str) -> ast.expr | None:
        """What ``name`` stands for, where it is set once in the whole file.

        A parameter stands for what its function is called with, where it is called once.
        """
        values = self.bound.get(name, ())
        if len(values) != 1:
            return None
        parameter = self.parameters.get(name)
        return values[0] if parameter is None else self._passed(parameter)

    def _passed(self, parameter: ast.arg) -> ast.expr | None:
        function = self.function_of(parameter)
        call = self._only_call(function)
        if not isinstance(function, Function) or call is None:
            return None
        if any(isinstance(each, ast.Starred) for each in call.args):
            return None
        if any(each.arg is None for each in call.keywords):
            return None
        positional = [*function.args.posonlyargs, *function.args.args]
        positional = positional[1:] if function.name == "__init__" else positional
        if parameter in positional and positional.index(parameter) < len(call.args):
            return call.args[positional.index(parameter)]
        return keyword(call, parameter.arg) or dict(defaults_of(function)).get(parameter)

    def _only_call(self, function: ast.AST | None) -> ast.Call | None:
        """The one call of a function, or of the class whose ``__init__`` it is, in this file."""
        if not isinstance(function, Function):
            return None
        name = function.name
        if name == "__init__" and isinstance(owner := self._parents.get(function), ast.ClassDef):
            name = owner.name
        calls = self._called.get(name, ())
        return calls[0] if self.bound.get(name) == [None] and len(calls) == 1 else None

    def keywords_of(self, name: str) -> list[ast.keyword] | None:
        """What ``**name`` of a function's parameters is, where the function is called once."""
        parameter = self.parameters.get(name)
        function = None if parameter is None else self.function_of(parameter)
        call = self._only_call(function)
        if not isinstance(function, Function) or function.args.kwarg is not parameter:
            return None
        if call is None or len(self.bound.get(name, ())) != 1:
            return None
        named = {each.arg for each, _ in defaults_of(function)}
        return [each for each in call.keywords if each.arg not in named]

    def owner_of(self, node: ast.AST) -> ast.ClassDef | None:
        """The class in whose method ``node`` stands."""
        return next((each for each in self.around(node) if isinstance(each, ast.ClassDef)), None)

    def returned_by(self, call: ast.Call) -> ast.expr | None:
        """What a function of this file returns, where it does so at one place."""
        owner = self.owner_of(call) if is_own(call.func) else None
        if owner is not None and isinstance(call.func, ast.Attribute):
            named = [each for each in owner.body if isinstance(each, Function)]
            methods = [each for each in named if each.name == call.func.attr]
            return returned_at_once(methods[0]) if len(methods) == 1 else None
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if self.bound.get(name) != [None]:
            return None
        found = next((each for each in self.functions if each.name == name), None)
        return None if found is None else returned_at_once(found)

    def meant(self, node: ast.expr) -> ast.expr:
        """``node``, or what it stands for where it is a name that is set once."""
        for _ in range(DEEPEST):
            if not isinstance(node, ast.Name) or (value := self.once(node.id)) is None:
                break
            node = value
        return node

    def qualified(self, node: ast.expr) -> str:
        """``sqlalchemy.create_engine`` of ``sa.create_engine``; "" where it has no such name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute) and len(parts) < DEEPEST:
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self.imports.get(node.id, node.id), *reversed(parts)])

    def is_from(self, node: ast.expr, name: str, *packages: str) -> bool:
        """Whether what is called is ``name`` of one of these packages, by the file's imports."""
        full = self.qualified(node)
        return full.rpartition(".")[2] == name and full.partition(".")[0] in packages

    def in_place_of(self, node: ast.Call, other: ast.Call) -> ast.Call:
        """A call that means the same as one of the file, at its place."""
        self._parents[other] = self._parents[node]
        return ast.copy_location(other, node)

    def parent(self, node: ast.AST) -> ast.AST | None:
        """What it stands in directly."""
        return self._parents.get(node)

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """What it stands in, the nearest first."""
        while (above := self._parents.get(node)) is not None:
            yield above
            node = above

    def function_of(self, node: ast.AST) -> Function | ast.Lambda | None:
        """The nearest function around it; None for what runs when the module is imported."""
        for above in self.around(node):
            if isinstance(above, Function | ast.Lambda):
                return above
        return None

    def name_of(self, node: ast.AST) -> str:
        """The name that it is assigned to; "" for none."""
        for above in self.around(node):
            if isinstance(above, ast.Assign | ast.AnnAssign):
                targets = above.targets if isinstance(above, ast.Assign) else [above.target]
                return last_name(targets[0])
            if isinstance(above, ast.stmt):
                return ""
        return ""

    def place(self, node: ast.AST, key: str = "") -> Place:
        """The line of ``node``."""
        file = self._files.get(node, self.file.name)
        return Place(file, getattr(node, "lineno", 0), key)


def is_own(node: ast.expr) -> bool:
    """``self.x`` or ``cls.x``."""
    return isinstance(node, ast.Attribute) and last_name(node.value) in ("self", "cls")


def last_name(node: ast.expr) -> str:
    """``create_engine`` of ``sa.create_engine``; "" for what has no name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """What a call gives for ``name``."""
    return next((each.value for each in call.keywords if each.arg == name), None)


def defaults_of(function: Function) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Parameters with their defaults."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    yield from zip(plain, [*defaults, *arguments.defaults], strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)


def returned_at_once(function: Function) -> ast.expr | None:
    """What a function comes to, where it returns at one place."""
    found = [each.value for each in inside(function) if isinstance(each, ast.Return)]
    return found[0] if len(found) == 1 else None


def text_of(node: ast.expr | None) -> str | None:
    """A literal text; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def inside(node: ast.AST) -> Iterator[ast.AST]:
    """Everything in a function's body (or another node's), in the order of its text.

    What functions inside of it do is left out.
    """
    todo = [*ast.iter_child_nodes(node)][::-1]
    while todo:
        each = todo.pop()
        yield each
        if not isinstance(each, Function | ast.Lambda | ast.ClassDef):
            todo += [*ast.iter_child_nodes(each)][::-1]
