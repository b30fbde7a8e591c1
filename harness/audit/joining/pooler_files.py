"""Files about one PgBouncer, together: what includes what, and who may log in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from harness.audit.finding import Unread
from harness.audit.loaders.pgbouncer import (
    DATABASES,
    INCLUDE,
    SECTION,
    database_of,
    mode_of,
    pooler_of,
)
from harness.audit.parts import Pooler
from harness.audit.reading import PoolerFile, UserList
from harness.audit.values import Place, Value

_Line = tuple[str, str, str, Place]


def poolers_of(
    files: Sequence[PoolerFile], lists: Iterable[UserList]
) -> tuple[tuple[Pooler, ...], tuple[Unread, ...]]:
    """One pooler for each file that no other includes and that has PgBouncer's own section."""
    named = {os.path.normpath(file.place.file): file for file in files}
    lists = tuple(lists)
    included = {
        path
        for file in files
        for _, key, text, _ in file.lines
        if key == INCLUDE and (path := _named(file, text, named)) is not None
    }
    poolers, unread, seen = [], list[Unread](), set[str]()
    for path in sorted(named, key=lambda each: (each in included, each)):
        if path in seen:
            continue
        reader = _Reader(named, path)
        seen |= reader.seen
        unread += reader.unread
        if any(section == SECTION for section, *_ in reader.lines):
            poolers.append(_pooler(named[path], reader, lists))
    return tuple(poolers), tuple(dict.fromkeys(unread))


def _pooler(file: PoolerFile, reader: _Reader, lists: Sequence[UserList]) -> Pooler:
    settings = {
        key: (text, place)
        for section, key, text, place in reader.lines
        if key and section == SECTION
    }
    databases = {
        key: (text, place)
        for section, key, text, place in reader.lines
        if key and section == DATABASES
    }
    place = next(
        (place for section, key, _, place in reader.lines if section == SECTION and not key),
        file.place,
    )
    pooler = pooler_of(
        mode_of(settings, databases),
        name="PgBouncer",
        place=place,
        databases=tuple(database_of(name, *said) for name, said in databases.items()),
        incomplete=reader.lacks,
    )
    return replace(pooler, users=_users(pooler, os.path.dirname(file.place.file), lists))


def _users(pooler: Pooler, folder: str, lists: Sequence[UserList]) -> Value[int]:
    """How many the list beside it has that bears the name of its ``auth_file``."""
    if not pooler.users_file:
        return Value.unknown(f"{pooler.name} names no auth_file", pooler.place)
    name = os.path.basename(pooler.users_file)
    for each in lists:
        if os.path.normpath(each.place.file) == os.path.normpath(os.path.join(folder, name)):
            return Value.at(each.users, each.place)
    return Value.unknown(f"the auth_file of {pooler.name} is not audited", pooler.place)


def _named(file: PoolerFile, text: str, files: dict[str, PoolerFile]) -> str | None:
    """The audited file that ``%include`` names.

    It is relative to where PgBouncer is started, which no file says: its folder is the likely one,
    also for a path of the machine or container that the folder is copied to.
    """
    folder = os.path.dirname(file.place.file)
    for each in (text, os.path.basename(text)):
        path = os.path.normpath(os.path.join(folder, each))
        if path in files:
            return path
    return None


class _Reader:
    """Reads a file and what it includes, each at its place."""

    def __init__(self, files: dict[str, PoolerFile], path: str) -> None:
        self._files = files
        self._within: list[str] = []
        self.seen: set[str] = set()
        self.unread: list[Unread] = []
        self.lacks = ""
        """Why what is not said is unknown; "" where the defaults hold."""
        self.lines = tuple(self._lines_of(path, ""))

    def _lines_of(self, path: str, within: str) -> Iterator[_Line]:
        self.seen.add(path)
        self._within.append(path)
        for section, key, text, place in self._files[path].lines:
            if key != INCLUDE:
                yield section or within, key, text, place
                continue
            found = _named(self._files[path], text, self._files)
            if found is None:
                self._not_read(place, "it includes a file that is not among those understood")
            elif found in self._within:
                self._not_read(place, "it includes itself")
            else:
                yield from self._lines_of(found, section or within)
        self._within.pop()

    def _not_read(self, place: Place, why: str) -> None:
        self.unread.append(Unread(place.file, why, place.line))
        self.lacks = f"{place}: {why}"
