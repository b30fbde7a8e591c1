"""TOML, YAML and JSON as one kind of tree, in which every value knows its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from harness.audit.sources import SourceFile
from harness.audit.yamls import Item, NotReadable, documents


def documents_of(file: SourceFile) -> list[Item]:
    """Every document of the file, by the format that its name says. Raises `NotReadable`."""
    if file.path.suffix == ".toml":
        try:
            return [_item(tomllib.loads(file.text), (), _lines(file.lines))]
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise NotReadable(f"not valid TOML: {type(error).__name__}") from None
    # JSON is YAML, but for the tabs that it may be indented with.
    text = file.text.replace("\t", " ") if file.path.suffix == ".json" else file.text
    return documents(text)


_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*="
)


def _lines(text: Sequence[str]) -> Mapping[tuple[str, ...], int]:
    """The lines of a TOML file's tables and keys, of which its parser says nothing."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for line, content in enumerate(text, 1):
        if (header := _HEADER.match(content)) is not None:
            table = _path(header[1])
            found.setdefault(table, line)
        elif (key := _KEY.match(content)) is not None:
            found.setdefault((*table, *_path(key[1])), line)
    return found


def _path(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


def _item(
    data: Any, path: tuple[str, ...], lines: Mapping[tuple[str, ...], int], above: int = 0
) -> Item:
    line = lines.get(path, above)
    if isinstance(data, dict):
        fields = {key: _item(value, (*path, key), lines, line) for key, value in data.items()}
        return Item(line, fields=fields)
    if isinstance(data, list):
        return Item(line, items=tuple(_item(each, path, lines, line) for each in data))
    return Item(line, text=str(data).lower() if isinstance(data, bool) else str(data))
