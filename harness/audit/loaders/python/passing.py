"""What another file passes to the function or class that makes a pool here.

`Database(settings.database_url, pool_size=7)` in one file decides what `__init__` of another makes.
The one call is read with what its own file shows of its arguments, as if it stood in this one.
"""

from __future__ import annotations

import ast
import copy

from harness.audit.loaders.python.branches import called
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.imports import uses_of
from harness.audit.loaders.python.syntax import Brought, Module

DEEPEST = 8
"""Of names that stand for one another in an argument."""

MOST_PARTS = 200
"""Of names in one argument, all at what they stand for."""

_UNSEEN = ast.Name("an argument that is not seen", ast.Load())


def passed(caller: Module, name: str) -> Brought | None:
    """The one call of ``name`` in the file that imports it; None where there are several."""
    calls = [
        above
        for each in called(caller, name)
        if isinstance(above := caller.parent(each), ast.Call) and above.func is each
    ]
    if len(uses_of(caller, name)) != 1 or len(calls) != 1:
        return None
    if any(isinstance(each, ast.Starred) for each in calls[0].args):
        return None
    (call,) = calls
    said = Expressions(caller).keywords(call)
    keywords = [ast.keyword(key, _shown(caller, value)) for key, value in said.nodes.items()]
    if said.hides_some:
        keywords.append(ast.keyword(None, copy.copy(_UNSEEN)))
    function = ast.Name(caller.imports[name].rpartition(".")[2], ast.Load())
    whole = ast.Call(function, [_shown(caller, each) for each in call.args], keywords)
    for node in ast.walk(whole):
        if isinstance(node, ast.expr | ast.keyword) and not hasattr(node, "lineno"):
            ast.copy_location(node, call)
    return Brought("", ast.copy_location(ast.Expr(whole), call), caller.file.name)


def _shown(caller: Module, node: ast.expr) -> ast.expr:
    """An argument with its names at what they stand for in the caller's file."""
    shown = _Shown(caller)
    found: ast.expr = shown.visit(copy.deepcopy(caller.meant(node)))
    return found


class _Shown(ast.NodeTransformer):
    def __init__(self, caller: Module) -> None:
        self._caller = caller
        self._depth = 0
        self._left = MOST_PARTS

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """A setting keeps its owner's name, which tells it from others of its own."""
        if isinstance(node.value, ast.Name):
            owner = Expressions(self._caller).owner_of(node.value)
            named = ast.copy_location(ast.Name(owner, ast.Load()), node.value)
            return ast.copy_location(ast.Attribute(named, node.attr, node.ctx), node)
        found: ast.AST = self.generic_visit(node)
        return found

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """What is called keeps its name: it may be `int` or `os.getenv`."""
        node.args = [self.visit(each) for each in node.args]
        node.keywords = [self.visit(each) for each in node.keywords]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        meant = self._caller.once(node.id)
        self._left -= 1
        if meant is None or self._depth >= DEEPEST or self._left < 0:
            return ast.copy_location(copy.copy(_UNSEEN), node)
        self._depth += 1
        found: ast.AST = self.visit(copy.deepcopy(meant))
        self._depth -= 1
        return found
