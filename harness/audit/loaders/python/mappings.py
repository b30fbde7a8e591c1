"""Entries of dicts, wherever in a file they are written, and what is changed of them later."""

from __future__ import annotations

import ast

from harness.audit.loaders.python.records import dumped, field_of
from harness.audit.loaders.python.syntax import DEEPEST, Module, last_name, text_of
from harness.audit.loaders.python.syntax import Entries as Entries

MOST_PARTS = 2000
"""Of one expression with all names at what they stand for; a doubling of doublings has billions."""

Pair = tuple[str | None, ast.expr | None, ast.expr]
"""An entry's name where it is literal, its key, its value; without both it is ``**value``."""

CONDITIONAL = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match, ast.ExceptHandler)
"""What may be passed over when the code runs."""


class Mappings:
    """The dicts of one module."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._left = MOST_PARTS

    def entries(self, node: ast.expr | None) -> Entries:
        """The entries of a dict, of a call of ``dict``, of two that are joined."""
        self._left = MOST_PARTS
        return self._entries(node, 0)

    def keywords(self, call: ast.Call) -> Entries:
        """The keywords of a call, those of a ``**`` whose dict is in the file included."""
        self._left = MOST_PARTS
        return self._together([(each.arg, None, each.value) for each in call.keywords], 0)

    def _entries(self, node: ast.expr | None, depth: int) -> Entries:
        if node is None:
            return Entries()
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            return Entries(hides_some=True)
        if isinstance(node, ast.Name) and (given := self._module.keywords_of(node.id)) is not None:
            return self._together([(each.arg, None, each.value) for each in given], depth)
        meant = self._module.meant(node)
        found = self._written(meant, depth)
        while isinstance(node, ast.Name) and node is not meant:
            found = self._changed(found, node.id, depth)
            node = self._module.once(node.id)
        return found

    def _written(self, node: ast.expr, depth: int) -> Entries:
        if isinstance(node, ast.Dict):
            items = zip(node.keys, node.values, strict=True)
            named = [(key, None if key is None else self._module.meant(key), v) for key, v in items]
            return self._together([(text_of(meant), key, v) for key, meant, v in named], depth)
        if isinstance(node, ast.Call) and last_name(node.func) == "dict":
            pairs: list[Pair] = [(None, None, each) for each in node.args]
            pairs += [(each.arg, None, each.value) for each in node.keywords]
            return self._together(pairs, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            one, other = self._entries(node.left, depth + 1), self._entries(node.right, depth + 1)
            return Entries({**one.nodes, **other.nodes}, one.hides_some or other.hides_some)
        if isinstance(node, ast.Call) and (made := self._module.returned_by(node)) is not None:
            return self._entries(made, depth + 1)
        if isinstance(node, ast.Call) and (fields := dumped(self._module, node)) is not None:
            return fields
        if isinstance(node, ast.Attribute):
            held = field_of(self._module, node)
            return Entries(hides_some=True) if held is None else self._entries(held, depth + 1)
        return Entries(hides_some=True)

    def _together(self, pairs: list[Pair], depth: int) -> Entries:
        found: dict[str, ast.expr] = {}
        hides = False
        for name, key, value in pairs:
            if name is not None:
                found[name] = value
            elif key is None:
                inner = self._entries(value, depth + 1)
                found.update(inner.nodes)
                hides = hides or inner.hides_some
            else:
                hides = True
        return Entries(found, hides)

    def _changed(self, entries: Entries, name: str, depth: int) -> Entries:
        """With what is done to a dict of this name: ``OPTIONS["pool_size"] = 5``, ``.update(…)``.

        What is done under a condition, or several times, is not known.
        """
        found, hides = dict(entries.nodes), entries.hides_some
        seen: set[str] = set()
        for change in self._module.changes.get(name, ()):
            said = Entries({change.key: change.value} if change.key and change.value else {})
            if change.key is None:
                said = self._entries(change.value, depth + 1) if change.value else Entries({}, True)
            if said.hides_some:  # whatever there was may be something else now
                found.clear()
                hides = True
            always = not any(
                isinstance(each, CONDITIONAL) for each in self._module.around(change.node)
            )
            for key, value in said.nodes.items():
                if always and key not in seen:
                    found[key] = value
                else:
                    found.pop(key, None)
                    hides = True
                seen.add(key)
        return Entries(found, hides)
