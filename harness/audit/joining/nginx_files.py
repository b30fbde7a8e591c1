"""nginx's files, together: what one includes stands in it, with all that is said around it there.

A path that is included is one of the machine or container that the files are copied to. The file
is the audited one that ends like it: in the folder of the file that includes it, or in one around
it. Of a path whose folders are nowhere here, the name alone counts, in the same folder.
Source: https://nginx.org/en/docs/ngx_core_module.html#include
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from glob import escape

from harness.audit.directives import Blocks, Directive, walk
from harness.audit.finding import Unread
from harness.audit.loaders.nginx import of_directives
from harness.audit.reading import NginxFile, Reading

DEEPEST = 50
"""Files that are included by each other; people write three."""

MOST_DIRECTIVES = 20_000
"""Of a file with all that it includes; files that include each other often have billions."""


def included(readings: Sequence[Reading]) -> list[Reading]:
    """The same, where a file says what it does with what it includes; those included say nothing.

    Files that include nothing that is audited, and that none includes, stay as they are.
    """
    files = {os.path.normpath(each.name): each for of in readings for each in of.nginx_files}
    links = {path: frozenset(_included(files[path], files)) for path in files}
    inner = {path for to in links.values() for path in to}
    seen: set[str] = set()
    whole: dict[str, Reading] = {}
    # Files that include each other have no first one: any is as good.
    for path in sorted(files, key=lambda each: (each in inner, each)):
        if path in seen or not (links[path] or path in inner):
            continue
        opened = _Opened(files, path)
        seen |= opened.seen
        found = of_directives(files[path].name, opened.directives)
        whole[path] = replace(found, unread=tuple(dict.fromkeys(opened.unread)))
    return [_with(each, whole, seen) for each in readings]


def _with(reading: Reading, whole: Mapping[str, Reading], seen: set[str]) -> Reading:
    paths = [os.path.normpath(each.name) for each in reading.nginx_files]
    if not paths or paths[0] not in seen:
        return reading
    found = whole.get(paths[0], Reading())
    return replace(
        reading,
        gateways=found.gateways,
        proxies=found.proxies,
        unread=(*reading.unread, *found.unread),
    )


def _included(file: NginxFile, files: Mapping[str, NginxFile]) -> Iterator[str]:
    for directive, _ in walk(file.directives):
        if directive.name == "include":
            yield from _named(directive, files)


def _named(directive: Directive, files: Mapping[str, NginxFile]) -> list[str]:
    """The audited files that an ``include`` names, which may be a pattern."""
    if len(directive.arguments) != 1 or "$" in directive.arguments[0]:
        return []
    parts = [part for part in directive.arguments[0].split("/") if part]
    folder = os.path.dirname(os.path.normpath(directive.file))
    around = _around(folder)
    for first in range(len(parts)):
        ending = parts[first:]
        alone = len(ending) == 1
        if alone and len(parts) > 1 and "*" in ending[0]:
            return []  # all of a folder that is not here, and not all of this one
        for base in (folder,) if alone else around:
            wanted = os.path.normpath(os.path.join(escape(base), *ending))
            if found := _matching(wanted, files):
                return found
    return []


def _matching(wanted: str, files: Mapping[str, NginxFile]) -> list[str]:
    depth = wanted.count(os.sep)
    return sorted(
        path for path in files if path.count(os.sep) == depth and fnmatchcase(path, wanted)
    )


def _around(folder: str) -> list[str]:
    """The folder, and those around it, the nearest first."""
    found = [folder]
    while folder and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
        found.append(folder)
    return found


class _Opened:
    """A file's directives, each ``include`` of an audited file replaced by what stands there."""

    def __init__(self, files: Mapping[str, NginxFile], path: str) -> None:
        self._files = files
        self._within: list[str] = []
        self._left = MOST_DIRECTIVES
        self.seen: set[str] = set()
        self.unread: list[Unread] = []
        self.directives: Blocks = self._of_file(path)

    def _of_file(self, path: str) -> Blocks:
        self.seen.add(path)
        self._within.append(path)
        found = self._opened(self._files[path].directives)
        self._within.pop()
        return found

    def _opened(self, blocks: Blocks) -> Blocks:
        found: list[Directive] = []
        for each in blocks:
            self._left -= 1
            if each.name == "include":
                found += self._replaced(each)
            else:
                found.append(replace(each, inside=self._opened(each.inside)))
        return tuple(found)

    def _replaced(self, include: Directive) -> Blocks:
        paths = _named(include, self._files)
        if not paths:
            return (include,)
        why = ""
        if set(paths) & set(self._within):
            why = "it includes itself"
        elif len(self._within) >= DEEPEST:
            why = f"it is included by {DEEPEST} files, one in the other"
        elif self._left < 0:
            why = f"it includes more than {MOST_DIRECTIVES:,} directives"
        if why:
            self.unread.append(Unread(include.file, why, include.line))
            return (include,)
        return tuple(each for path in paths for each in self._of_file(path))
