"""What a Flask application's configuration is given in one file, and other files ask it for.

``app.config.from_mapping(DB_MAX=12)``, ``app.config["DB_MAX"] = 12``; where the file reads the
environment as well (``from_prefixed_env("APP")``), ``APP_DB_MAX`` holds over both.

Source: https://flask.palletsprojects.com/en/stable/config/
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import TypeGuard

from harness.audit.loaders.python.declared import constant, is_secretive
from harness.audit.loaders.python.expressions import Expressions
from harness.audit.loaders.python.syntax import Module, keyword, last_name, text_of
from harness.audit.reading import Setting

_KEY = re.compile(r"[A-Z][A-Z0-9_]*")
_FLASK = "FLASK"
"""The prefix of variables where none is named."""


def configured(module: Module) -> tuple[Setting, ...]:
    """A setting for each key that the configuration is given, in capitals as Flask keeps them."""
    prefix = _prefix(module)
    expressions = Expressions(module)
    found = []
    for key, node in _given(module):
        if not _KEY.fullmatch(key) or is_secretive(key):
            continue
        if (said := constant(key, expressions.value(node, key))) is None:
            continue
        variable, text = said
        if not variable and prefix:
            variable = f"{prefix}_{key}"
        place = module.place(node, key)
        owners = frozenset({"config"})
        found.append(Setting(name=key, variable=variable, place=place, text=text, owners=owners))
    return tuple(found)


def _given(module: Module) -> Iterator[tuple[str, ast.expr]]:
    for call in module.calls:
        if not _is_of_configuration(call.func):
            continue
        if call.func.attr in ("from_mapping", "update"):
            yield from ((each.arg, each.value) for each in call.keywords if each.arg)
            for argument in call.args:
                if isinstance(argument, ast.Dict):
                    yield from _texts(zip(argument.keys, argument.values, strict=True))
        elif call.func.attr == "setdefault" and len(call.args) == 2:
            yield from _texts([(call.args[0], call.args[1])])
    for node in module.nodes:
        if isinstance(node, ast.Assign):
            for each in node.targets:
                if isinstance(each, ast.Subscript) and last_name(each.value) == "config":
                    yield from _texts([(each.slice, node.value)])


def _texts(
    pairs: Iterable[tuple[ast.expr | None, ast.expr]],
) -> Iterator[tuple[str, ast.expr]]:
    """Those whose key stands there as a text."""
    for node, value in pairs:
        if key := text_of(node):
            yield key, value


def _prefix(module: Module) -> str:
    """What variables begin with that the configuration takes; "" where it takes none."""
    for call in module.calls:
        if _is_of_configuration(call.func) and call.func.attr == "from_prefixed_env":
            named = call.args[0] if call.args else keyword(call, "prefix")
            return _FLASK if named is None else text_of(named) or ""
    return ""


def _is_of_configuration(function: ast.expr) -> TypeGuard[ast.Attribute]:
    return isinstance(function, ast.Attribute) and last_name(function.value) == "config"
