"""Definitions that a file imports from others of the project, so that its pools are known whole.

Constants, dicts of options, functions that return them and classes of fields are read as if they
stood in the file itself. What makes a pool, or is decided by the environment (settings classes),
stays where it is.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from harness.audit.loaders.python.imports import imported
from harness.audit.loaders.python.libraries import LIBRARIES
from harness.audit.loaders.python.making import MAKERS
from harness.audit.loaders.python.syntax import Brought, Module, last_name

MOST = 60
"""Of definitions that are brought into one file."""

Declares = Callable[[str, str], Module | None]
"""The module that declares the name of a path, as a file imports it."""


def brought(module: Module, declares: Declares) -> list[Brought]:
    """What ``module`` imports, and what that needs, of the modules that ``declares`` it."""
    found: dict[str, Brought] = {}
    todo = [(name, full, module) for name, full in module.imports.items() if "." in full]
    for _ in range(MOST):
        if not todo:
            break
        name, full, importer = todo.pop()
        path = imported(importer, full)
        other = declares(path, importer.file.name)
        if other is None or other is module or name in found or path.rpartition("/")[2] != name:
            continue
        if name in other.imports:
            todo.append((name, other.imports[name], other))
            continue
        statement = _definition(other, name)
        if statement is None:
            continue
        needed = {each.id for each in ast.walk(statement) if isinstance(each, ast.Name)} - {name}
        needed &= other.bound.keys()
        if any(_means_another(module, other, each) for each in needed):
            continue
        found[name] = Brought(name, statement, other.file.name)
        here = f"{full.rpartition('.')[0]}."
        todo += [
            (
                each,
                other.imports.get(each, f"{here}{each}"),
                other if each in other.imports else importer,
            )
            for each in needed
        ]
    return [*found.values()]


def _means_another(module: Module, other: Module, name: str) -> bool:
    """Whether a name stands for something else here than in the file that a definition is of."""
    if name not in module.bound:
        return False
    own, theirs = module.imports.get(name), other.imports.get(name)
    return own is None or (theirs is not None and own != theirs)


def _definition(module: Module, name: str) -> ast.stmt | None:
    """The one definition of a name at the top of a file, where it is harmless elsewhere."""
    if len(module.bound.get(name, ())) != 1 or name in module.parameters:
        return None
    for statement in module.tree.body:
        if isinstance(statement, ast.FunctionDef):  # what a decorator makes of one is not seen
            named = statement.name == name and not statement.decorator_list
        elif isinstance(statement, ast.ClassDef):
            named = statement.name == name
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            named = len(targets) == 1 and isinstance(targets[0], ast.Name) and targets[0].id == name
        else:
            continue
        if named:
            return statement if _is_harmless(module, statement, name) else None
    return None


def _is_harmless(module: Module, statement: ast.stmt, name: str) -> bool:
    """Whether it makes no pool, is no settings class, and stays as it is written."""
    if module.changes.get(name):
        return False
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and last_name(node.func) in MAKERS | LIBRARIES:
            return False
        if isinstance(node, ast.ClassDef) and "BaseSettings" in map(last_name, node.bases):
            return False
    return True
