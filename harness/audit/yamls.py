"""YAML as plain data that knows its lines: anchors and merges resolved, within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

MOST_NODES = 200_000
"""Of a document with all aliases written out; a bomb of a few lines has billions."""

_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotReadable(ValueError):  # noqa: N818 - it is said, not raised further
    """Why a document is not read, and the line."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(why)
        self.line = line


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a document: plain ``data`` (a scalar), its children, and its line."""

    line: int
    text: str | None = None
    fields: dict[str, Item] | None = None
    items: tuple[Item, ...] | None = None

    def get(self, *path: str) -> Item | None:
        """What stands under these keys, one in the other."""
        found: Item | None = self
        for key in path:
            if found is None or found.fields is None:
                return None
            found = found.fields.get(key)
        return found


def documents(text: str) -> list[Item]:
    """Every document of a file. Raises `NotReadable`."""
    try:
        nodes = list(yaml.compose_all(text, Loader=_FAST))
        budget = [MOST_NODES]
        return [_item(node, budget, frozenset()) for node in nodes if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise NotReadable(
            f"not valid YAML: {error.problem or error.context}", mark.line + 1 if mark else 0
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise NotReadable(f"not valid YAML: {type(error).__name__}") from None


def _item(node: yaml.Node, budget: list[int], above: frozenset[int]) -> Item:
    budget[0] -= 1
    line = node.start_mark.line + 1
    if budget[0] < 0:
        raise NotReadable(f"more than {MOST_NODES:,} values with its aliases written out")
    if id(node) in above:
        raise NotReadable("an alias contains itself", line)
    inside = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        fields: dict[str, Item] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif isinstance(key, yaml.ScalarNode):
                fields[key.value] = _item(value, budget, inside)
        for other in merged:  # the first of several wins, and what is written here wins over all
            for name, found in (_item(other, budget, inside).fields or {}).items():
                fields.setdefault(name, found)
        return Item(line, fields=fields)
    if isinstance(node, yaml.SequenceNode):
        return Item(line, items=tuple(_item(each, budget, inside) for each in node.value))
    return Item(line, text=str(node.value))
