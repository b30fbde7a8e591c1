"""What a file has to do with others: by which paths they call its functions, and it theirs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePath

from harness.audit.loaders.python.branches import Branches, called
from harness.audit.loaders.python.signs import FOLLOWED
from harness.audit.loaders.python.syntax import Function, Module, last_name
from harness.audit.parts import Pool
from harness.audit.reading import Maker, Reexport, Reference

_FOLLOWED = re.compile(rf"\w*(?:{'|'.join(FOLLOWED)})")


def is_followed(function: str) -> bool:
    """Whether all calls of a function are seen, wherever they are."""
    return _FOLLOWED.fullmatch(function.rpartition("/")[2]) is not None


def module_path(file: str) -> str:
    """``app/db`` of ``app/db.py``, ``app`` of ``app/__init__.py``."""
    path = PurePath(file.removesuffix(".py"))
    return (path.parent if path.name == "__init__" else path).as_posix()


def imported(module: Module, full: str) -> str:
    """A full name as a path; a relative one begins where the file stands."""
    name = full.lstrip(".")
    level = len(full) - len(name)
    if not level:
        return name.replace(".", "/")
    folder = PurePath(module.file.name).parent
    for _ in range(level - 1):
        folder = folder.parent
    return (folder / name.replace(".", "/")).as_posix()


def maker(module: Module, node: ast.AST, pool: Pool) -> Maker | None:
    """The function or class whose call makes a pool; None for one that the import makes."""
    within = _within(module, node)
    return Maker(within, pool.place) if within else None


def references(module: Module, branches: Branches) -> Iterator[Reference]:
    """Every function or class of another file that is called here, on whatever branches."""
    file = module.file.name
    for name, full in module.imports.items():
        path = imported(module, full)
        calls = [*called(module, name)] if "." in full.strip(".") else []
        for node in calls:
            yield Reference(path, file, _within(module, node), branches.to(node))
        if is_followed(path) and len(uses_of(module, name)) > len(calls):
            yield Reference(path, file, is_call=False)
    for call in module.calls:
        first = call.func
        while isinstance(first, ast.Attribute):
            first = first.value
        if first is call.func or not isinstance(first, ast.Name) or first.id not in module.imports:
            continue
        path = imported(module, module.qualified(call.func))
        if is_followed(path):
            yield Reference(path, file, _within(module, call), branches.to(call))


def uses_of(module: Module, name: str) -> list[ast.Name]:
    """Where a name is used otherwise than as a type."""
    return [each for each in module.names.get(name, ()) if not _is_type(module, each)]


def _is_type(module: Module, node: ast.expr) -> bool:
    """An annotation, or a part of one; what `isinstance` asks for."""
    above = module.parent(node)
    while isinstance(above, ast.Subscript | ast.BinOp | ast.Tuple):
        node, above = above, module.parent(above)
    if isinstance(above, ast.AnnAssign):
        return above.annotation is node
    if isinstance(above, Function):
        return above.returns is node
    asks = isinstance(above, ast.Call) and last_name(above.func) in ("isinstance", "cast")
    return asks or isinstance(above, ast.arg)


def reexports(module: Module) -> Iterator[Reexport]:
    """What a package has from its modules, or others, for those who import it from there."""
    if PurePath(module.file.name).name != "__init__.py":
        return
    path = module_path(module.file.name)
    for name, full in module.imports.items():
        origin = imported(module, full)
        if "." in full.strip(".") and origin != f"{path}/{name}":
            yield Reexport(f"{path}/{name}", origin, module.file.name)


def _within(module: Module, node: ast.AST) -> str:
    """The path of the outermost function or class that ``node`` is in; "" for none."""
    outermost = [each for each in module.around(node) if isinstance(each, Function | ast.ClassDef)]
    return f"{module_path(module.file.name)}/{outermost[-1].name}" if outermost else ""
