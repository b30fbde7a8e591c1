"""What a compose service extends, in its file and in others, merged as Compose merges it.

Mappings are merged, lists appended, and of everything else the service's own holds; so it does of
its command. Paths stay those of the file that they stand in.
Source: https://docs.docker.com/reference/compose-file/services/#extends
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from pathlib import PurePath

from harness.audit.finding import Unread
from harness.audit.reading import ComposeFile
from harness.audit.yamls import Item

_WHOLE = frozenset({"command", "entrypoint", "test", "extends"})
"""What is one thing, and never a part of the other's."""

DEEPEST = 50
"""Services that extend each other; people write three."""

_TWO_FORMS = frozenset({"environment", "labels"})
"""What is a mapping, or a list of ``KEY=VALUE``."""


class Extending:
    """Services with what they extend, in ``files`` by their normal paths, and what is missing."""

    def __init__(self, files: Mapping[str, ComposeFile]) -> None:
        self._files = files
        self._done: dict[tuple[str, str], Item] = {}
        self.unread: list[Unread] = []

    def service(
        self, file: ComposeFile, name: str, within: tuple[tuple[str, str], ...] = ()
    ) -> Item:
        """A service of ``file``; one that extends nothing that is there stays as it is."""
        own = os.path.normpath(file.source.name), name
        if own not in self._done:
            self._done[own] = self._whole(file, name, (*within, own))
        return self._done[own]

    def _whole(self, file: ComposeFile, name: str, within: tuple[tuple[str, str], ...]) -> Item:
        service = file.services[name]
        extends = service.get("extends")
        if extends is None:
            return service
        path, base_name = base = extended(file, extends)
        base_file = file if path == within[-1][0] else self._files.get(path)
        why = ""
        if base in within:
            why = "it extends itself"
        elif len(within) >= DEEPEST:
            why = f"it is extended by {DEEPEST} services, one by the other"
        elif base_file is None:
            why = "it extends what is not in a file among those understood"
        elif base_name not in base_file.services:
            why = "it extends a service that is not there"
        if why or base_file is None:
            self.unread.append(Unread(file.source.name, why, extends.line))
            return service
        found = self.service(base_file, base_name, within)
        if base_file is not file:
            found = found.from_file(base_file.source.name)
        return merged(found, service)


def extended(file: ComposeFile, extends: Item) -> tuple[str, str]:
    """The file, by its normal path, and the service that ``extends`` names."""
    named = extends.text_at("file")
    folder = PurePath(file.source.name).parent.as_posix()
    path = posixpath.join(folder, named) if named else file.source.name
    return os.path.normpath(path), extends.text or extends.text_at("service")


def merged(base: Item, service: Item, key: str = "") -> Item:
    """``service`` with what only ``base`` says."""
    if key in _WHOLE or service.is_null:
        return service
    if key == "build":
        base, service = _with_context(base), _with_context(service)
    if key in _TWO_FORMS:
        base, service = _as_mapping(base), _as_mapping(service)
    if key == "env_file":
        base, service = _as_list(base), _as_list(service)
    if base.items is not None and service.items is not None:
        return Item(
            service.line,
            items=(*base.items, *service.items),
            key_line=service.key_line,
            file=service.file,
        )
    if base.fields is None or service.fields is None:
        return service
    both = {**base.fields, **service.fields}
    fields = {
        name: merged(base.fields[name], each, name)
        if name in base.fields and name in service.fields
        else each
        for name, each in both.items()
    }
    return Item(service.line, fields=fields, key_line=service.key_line, file=service.file)


def _with_context(build: Item) -> Item:
    """``build: folder`` is short for the mapping."""
    if build.text is None:
        return build
    return Item(build.line, fields={"context": build}, key_line=build.key_line, file=build.file)


def _as_mapping(item: Item) -> Item:
    return Item(item.line, fields=variables(item, ()), key_line=item.key_line, file=item.file)


def _as_list(item: Item) -> Item:
    if item.text is None:
        return item
    return Item(item.line, items=(item,), key_line=item.key_line, file=item.file)


def variables(item: Item, path: tuple[str, ...] = ("environment",)) -> dict[str, Item]:
    """Both forms: a mapping, and a list of ``KEY=VALUE``. Without a value it is the shell's."""
    found = dict(item.pairs(*path))
    for each in item.each(*path):
        key, equals, value = (each.text or "").partition("=")
        found[key] = Item(each.line, text=value, is_null=not equals, file=each.file)
    return found
