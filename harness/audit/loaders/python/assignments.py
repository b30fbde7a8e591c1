"""What a settings module, a class of settings or ``app.config[…]`` is given."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from harness.audit.loaders.python.syntax import Module, keyword, last_name, text_of


@dataclass(frozen=True, slots=True)
class Assigned:
    """Something that a settings module, a class of settings or ``app.config[…]`` is given."""

    node: ast.AST
    value: ast.expr
    owner: ast.ClassDef | None = None


def assigned(module: Module, name: str) -> Iterator[Assigned]:
    """Everything that ``name`` is set to."""
    if name not in module.file.text:
        return
    for node in module.nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if _is_named(target, name):
                    above = module.parent(node)
                    owner = above if isinstance(above, ast.ClassDef) else None
                    yield Assigned(node, node.value, owner)
        elif isinstance(node, ast.Call) and last_name(node.func) in ("update", "from_mapping"):
            if (value := keyword(node, name)) is not None:
                yield Assigned(node, value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if text_of(key) == name:
                    yield Assigned(node, value)


def _is_named(target: ast.expr, name: str) -> bool:
    if isinstance(target, ast.Subscript):
        return text_of(target.slice) == name and last_name(target.value) == "config"
    return isinstance(target, ast.Name) and target.id == name
