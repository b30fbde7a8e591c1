"""Texts with places that are filled in: ``"…{host}…".format(host=…)`` and ``"…%s…" % host``."""

from __future__ import annotations

import ast
import re
from string import Formatter

from harness.audit.loaders.python.syntax import Module, text_of

Parts = list["str | ast.expr"]

_PERCENT = re.compile(r"%(?:\((\w+)\))?([sd%])")


def formatted(module: Module, node: ast.expr) -> Parts | None:
    """Its constants and what is filled in, in their order; None for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        template = text_of(module.meant(node.func.value))
        if node.func.attr == "format" and template is not None:
            return _by_method(template, node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        template = text_of(module.meant(node.left))
        return None if template is None else _by_percent(template, node.right)
    return None


def _by_method(template: str, call: ast.Call) -> Parts | None:
    if any(isinstance(each, ast.Starred) for each in call.args):
        return None
    given: dict[str, ast.expr] = {str(n): each for n, each in enumerate(call.args)}
    given |= {each.arg: each.value for each in call.keywords if each.arg is not None}
    found: Parts = []
    count = 0
    try:
        fields = [*Formatter().parse(template)]
    except ValueError:
        return None
    for literal, name, _, _ in fields:
        if literal:
            found.append(literal)
        if name is None:
            continue
        if not name:
            name, count = str(count), count + 1
        if name not in given:  # an attribute of it, or of what a ** brings
            return None
        found.append(given[name])
    return found


def _by_percent(template: str, right: ast.expr) -> Parts | None:
    values = [*right.elts] if isinstance(right, ast.Tuple) else [right]
    named: dict[str, ast.expr] = {}
    if isinstance(right, ast.Dict):
        named = {
            text: value
            for key, value in zip(right.keys, right.values, strict=True)
            if (text := text_of(key)) is not None
        }
    found: Parts = []
    end = 0
    for match in _PERCENT.finditer(template):
        found.append(template[end : match.start()])
        end = match.end()
        if match[2] == "%":
            found.append("%")
        elif match[1] is not None and match[1] in named:
            found.append(named[match[1]])
        elif match[1] is None and values and not isinstance(right, ast.Dict):
            found.append(values.pop(0))
        else:
            return None
    found.append(template[end:])
    if isinstance(right, ast.Tuple) and values:
        return None
    return [each for each in found if not isinstance(each, str) or each]
