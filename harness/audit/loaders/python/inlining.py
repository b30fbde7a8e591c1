"""Functions of a file that only give a value: ``def env_int(name, default): return int(…)``."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping, Sequence

from harness.audit.loaders.python.syntax import Function, Module, defaults_of


def inlined(module: Module, call: ast.Call) -> ast.expr | None:
    """What a call comes to: what its function returns, of what it is given.

    None where the function is another file's, or does more than to give a value.
    """
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if not name or module.bound.get(name) != [None]:
        return None
    function = next((each for each in module.functions if each.name == name), None)
    if function is None or function.decorator_list or function.args.vararg or function.args.kwarg:
        return None
    given = _given(function, call)
    return None if given is None else _returned(function.body, given)


def _returned(body: Sequence[ast.stmt], given: dict[str, ast.expr]) -> ast.expr | None:
    """Of ``raw = os.getenv(name)`` and ``return int(raw)``; None of what does more than that."""
    found: ast.expr | None = None
    for statement in body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # what it says of itself
        if found is not None or not isinstance(statement, ast.Assign | ast.Return):
            return None
        if statement.value is None:
            return None
        meant: ast.expr = _Given(given).visit(copy.deepcopy(statement.value))
        if isinstance(statement, ast.Return):
            found = meant
        elif len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
            given = {**given, statement.targets[0].id: meant}
        else:
            return None
    return found


def _given(function: Function, call: ast.Call) -> dict[str, ast.expr] | None:
    """What each parameter stands for; None where that is not plain."""
    if any(isinstance(each, ast.Starred) for each in call.args):
        return None
    positional = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    if len(call.args) > len(positional) or any(each.arg is None for each in call.keywords):
        return None
    found = {each.arg: default for each, default in defaults_of(function) if default is not None}
    found.update(zip(positional, call.args, strict=False))
    found.update({each.arg: each.value for each in call.keywords if each.arg is not None})
    wanted = {each.arg for each, _ in defaults_of(function)}
    return found if set(found) == wanted else None


class _Given(ast.NodeTransformer):
    """Parameters in the place of their names; what they stand for is not looked into."""

    def __init__(self, given: Mapping[str, ast.expr]) -> None:
        self._given = given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._given.get(node.id, node)
