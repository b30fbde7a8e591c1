"""YAML as plain data that knows its lines: anchors and merges resolved, within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

MOST_NODES = 200_000
"""Of a document with all aliases written out; a bomb of a few lines has billions."""

_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRANSPARENT = frozenset({"!override", "!ENV", "!env", "!expand"})
"""Tags that leave what they stand before as it is: Compose's, and those of environment readers."""

FILLED_IN = "{{filled in}}"
"""The text of what another tag makes something else of: a placeholder, as a template has them."""


class NotReadable(ValueError):  # noqa: N818 - it is said, not raised further
    """Why a document is not read, and the line."""

    def __init__(self, why: str, line: int = 0) -> None:
        super().__init__(why)
        self.line = line


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a document: plain ``data`` (a scalar), its children, and its line.

    ``is_null`` tells nothing from an empty text; a ``block`` (``key: |``) begins one line below.
    """

    line: int
    text: str | None = None
    fields: dict[str, Item] | None = None
    items: tuple[Item, ...] | None = None
    is_null: bool = False
    block: bool = False
    key_line: int = field(default=0, compare=False)
    """The line of the key that it stands behind; 0 where it stands behind none."""

    file: str = field(default="", compare=False)
    """The file that it stands in, where that is another one than the document's."""

    def from_file(self, file: str) -> Item:
        """The same, as something that another document took from ``file``."""
        fields, items = self.fields, self.items
        return replace(
            self,
            file=self.file or file,
            fields=fields and {key: each.from_file(file) for key, each in fields.items()},
            items=items and tuple(each.from_file(file) for each in items),
        )

    def get(self, *path: str) -> Item | None:
        """What stands under these keys, one in the other."""
        found: Item | None = self
        for key in path:
            if found is None or found.fields is None:
                return None
            found = found.fields.get(key)
        return found

    def text_at(self, *path: str) -> str:
        """The scalar under these keys; "" where there is none."""
        found = self.get(*path)
        return (found.text or "") if found is not None else ""

    def pairs(self, *path: str) -> Iterator[tuple[str, Item]]:
        """The fields under these keys; none where there is no mapping."""
        found = self.get(*path)
        yield from ((found.fields if found is not None else None) or {}).items()

    def each(self, *path: str) -> tuple[Item, ...]:
        """The items under these keys; none where there is no sequence."""
        found = self.get(*path)
        return (found.items if found is not None else None) or ()


def documents(text: str) -> list[Item]:
    """Every document of a file. Raises `NotReadable`."""
    try:
        nodes = _nodes(text)
        budget = [MOST_NODES]
        return [_item(node, budget, frozenset()) for node in nodes if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        # What stands in quotes is the file's own, and might be a secret.
        problem = re.split("['\"]", error.problem or error.context or "")[0].strip()
        raise NotReadable(f"not valid YAML: {problem}", mark.line + 1 if mark else 0) from None
    except (yaml.YAMLError, RecursionError, UnicodeError) as error:
        raise NotReadable(f"not valid YAML: {type(error).__name__}") from None


class _Anchors(yaml.SafeLoader):
    """An alias stands for the nearest node before it that has its anchor, as YAML 1.2 says (7.1).

    PyYAML refuses an anchor that is set twice.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(event.anchor, None)
        return super().compose_node(parent, index)


def _nodes(text: str) -> list[yaml.Node | None]:
    try:
        return list(yaml.compose_all(text, Loader=_FAST))
    except yaml.composer.ComposerError as error:
        if error.problem != "second occurrence":
            raise
        return list(yaml.compose_all(text, Loader=_Anchors))


def _item(node: yaml.Node, budget: list[int], above: frozenset[int], key_line: int = 0) -> Item:
    budget[0] -= 1
    line = node.start_mark.line + 1
    if budget[0] < 0:
        raise NotReadable(f"more than {MOST_NODES:,} values with its aliases written out")
    if id(node) in above:
        raise NotReadable("an alias contains itself", line)
    if node.tag.startswith("!") and node.tag not in _TRANSPARENT:
        return Item(line, text=FILLED_IN, key_line=key_line)
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, line, key_line)
    inside = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, budget, inside, key_line)
    items = tuple(_item(each, budget, inside) for each in node.value)
    return Item(line, items=items, key_line=key_line)


def _scalar(node: yaml.ScalarNode, line: int, key_line: int) -> Item:
    is_null = node.style in (None, "") and node.value in _NULL
    text = "" if is_null else str(node.value)
    block = node.style in ("|", ">")
    return Item(line, text=text, is_null=is_null, block=block, key_line=key_line)


def _mapping(
    node: yaml.MappingNode, budget: list[int], inside: frozenset[int], key_line: int
) -> Item:
    fields: dict[str, Item] = {}
    merged: list[yaml.Node] = []
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
        elif isinstance(key, yaml.ScalarNode):
            fields[key.value] = _item(value, budget, inside, key.start_mark.line + 1)
    for other in merged:  # the first of several wins, and what is written here wins over all
        for name, found in (_item(other, budget, inside).fields or {}).items():
            fields.setdefault(name, found)
    return Item(node.start_mark.line + 1, fields=fields, key_line=key_line)
