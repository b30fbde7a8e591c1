"""Compose files that extend each other's services, or include each other.

A file is never looked for: of what they name, only what is audited is read. What is included is
read where it stands, for all services of a project know each other.
Source: https://docs.docker.com/compose/how-tos/multiple-compose-files/
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from harness.audit.finding import Unread
from harness.audit.loaders.compose import with_others
from harness.audit.loaders.extending import Extending, extended
from harness.audit.reading import ComposeFile, Reading

_STARTED = re.compile(r"(docker-)?compose(\.override)?\.ya?ml")
"""Files that Compose takes by itself; the services of others may be there to be extended only."""


def extending(readings: Sequence[Reading]) -> list[Reading]:
    """The same, with services as those make them that they extend in other files.

    A service that another file extends is not started for itself, unless its file is one that
    Compose takes by itself, or one that is included.
    """
    files = {
        os.path.normpath(file.source.name): file for of in readings for file in of.compose_files
    }
    bases = {base for path, file in files.items() for base in _bases(path, file)}
    taken = {path for file in files.values() for path, _ in _included(file)}
    templates: dict[str, set[str]] = {}
    for path, service in bases:
        if path not in taken and _STARTED.fullmatch(os.path.basename(path)) is None:
            templates.setdefault(path, set()).add(service)
    return [_again(each, files, templates) for each in readings]


def _again(
    reading: Reading, files: Mapping[str, ComposeFile], templates: Mapping[str, set[str]]
) -> Reading:
    """A file's services, where it is about more than its own."""
    if not reading.compose_files:
        return reading
    (own,) = reading.compose_files
    path = os.path.normpath(own.source.name)
    missing = tuple(
        Unread(own.source.name, "it includes what is not in a file among those understood", line)
        for included, line in _included(own)
        if included not in files
    )
    if any(True for _ in _extends(own)) or path in templates:
        reader = Extending(files)
        try:
            found = with_others(own, reader, templates.get(path, ()))
        except RecursionError:
            why = "what it extends is nested too deep"
            return replace(reading, unread=(*reading.unread, Unread(own.source.name, why)))
        found = replace(found, compose_files=(own,), variant=reading.variant)
        reading = replace(found, unread=(*found.unread, *dict.fromkeys(reader.unread)))
    return replace(reading, unread=(*reading.unread, *missing)) if missing else reading


def _extends(file: ComposeFile) -> Iterator[tuple[str, str]]:
    for service in file.services.values():
        if (extends := service.get("extends")) is not None:
            yield extended(file, extends)


def _bases(own: str, file: ComposeFile) -> Iterator[tuple[str, str]]:
    """Services of other files that those of ``file`` extend."""
    return ((path, service) for path, service in _extends(file) if path != own)


def _included(file: ComposeFile) -> Iterator[tuple[str, int]]:
    folder = PurePath(file.source.name).parent.as_posix()
    for path, line in file.includes:
        yield os.path.normpath(posixpath.join(folder, path)), line
