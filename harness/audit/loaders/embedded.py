"""Files within files: a text of a ConfigMap, read by the loader of its own format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from harness.audit.finding import Unread
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value
from harness.audit.yamls import Item

_INSIDE = "inside of a file"


def is_embedded(file: SourceFile) -> bool:
    """Whether the file is a text of another one."""
    return file.path.parent.name == _INSIDE


def embedded(file: SourceFile, name: str, item: Item) -> SourceFile:
    """The text ``item`` as a file of that name, which is called after the one it stands in."""
    return SourceFile(Path(_INSIDE, Path(name).name), file.name, item.text or "")


def read_embedded(file: SourceFile, name: str, item: Item) -> Reading:
    """What it says, on the lines of the file around it; nothing of a text within such a text."""
    from harness.audit.loaders import load  # which knows all loaders, the one that asks as well

    if is_embedded(file):
        return Reading()
    return placed(load(embedded(file, name, item)) or Reading(), item)


def placed(reading: Reading, item: Item) -> Reading:
    """What was read of the text ``item``, with its lines counted from the file's beginning.

    It is no file that another could name: it is read by itself.
    """
    alone = replace(reading, compose_files=(), nginx_files=())
    moved: Reading = _moved(alone, item.line if item.block else item.line - 1)
    return moved


def _moved(part: Any, lines: int) -> Any:
    if isinstance(part, Place):
        return replace(part, line=max(part.line, 1) + lines)
    if isinstance(part, Unread):
        return replace(part, line=max(part.line, 1) + lines)
    if isinstance(part, Value):
        return replace(part, place=_moved(part.place, lines))
    if isinstance(part, tuple):
        return tuple(_moved(each, lines) for each in part)
    if isinstance(part, Mapping):
        return {key: _moved(each, lines) for key, each in part.items()}
    if is_dataclass(part) and not isinstance(part, type):
        return replace(
            part, **{each.name: _moved(getattr(part, each.name), lines) for each in fields(part)}
        )
    return part
