"""Sessions of dependencies that another file declares: ``session: SessionDep``.

Whether the name is one, only the other file can say: what is wrong if it is one is supposed here,
and `joining.calls` finds out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from harness.audit.loaders.python.holding import is_session
from harness.audit.loaders.python.imports import imported, module_path
from harness.audit.loaders.python.syntax import Function, Module, defaults_of
from harness.audit.loaders.python.teardowns import over_teardown
from harness.audit.loaders.python.uses import nested
from harness.audit.reading import Supposed


def session_names(module: Module) -> tuple[str, ...]:
    """``SessionDep = Annotated[AsyncSession, Depends(get_session)]``, each by its path."""
    return tuple(
        f"{module_path(module.file.name)}/{name}"
        for name, values in module.bound.items()
        if len(values) == 1 and values[0] is not None and is_session(module, values[0])
    )


def supposed(module: Module) -> tuple[Supposed, ...]:
    """What functions would do wrong if an annotation of theirs, which is imported, is a session."""
    by_type: dict[str, dict[Function, str]] = {}
    for function in module.functions:
        for parameter, full in _imported(module, function):
            by_type.setdefault(full, {}).setdefault(function, parameter)
    found: list[Supposed] = []
    for wanted, parameters in sorted(by_type.items()):

        def given(_: Module, function: Function, of: Mapping[Function, str] = parameters) -> str:
            return of.get(function, "")

        uses = {*nested(module, given), *over_teardown(module, given)}
        ordered = sorted(uses, key=lambda use: (use.place, use.practice))
        found += [Supposed(imported(module, wanted), use) for use in ordered]
    return tuple(found)


def _imported(module: Module, function: Function) -> Iterator[tuple[str, str]]:
    """Parameters whose annotation is a name that is imported, with its full name."""
    for argument, default in defaults_of(function):
        first = argument.annotation
        while isinstance(first, ast.Attribute):
            first = first.value
        if default is None and isinstance(first, ast.Name) and first.id in module.imports:
            yield argument.arg, module.qualified(argument.annotation or first)
