"""systemd's units: what a service starts, with which variables and limits.

Source: https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html and
systemd.exec.html there. The lines are read here: a key may come several times, each adding to the
last, and a backslash continues a line, all of which the standard library's parser takes otherwise.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from harness.audit.loaders.commands import Word, words_at
from harness.audit.loaders.containers import Container, read
from harness.audit.reading import Reading
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value, read_at

KIND = SYSTEMD = "systemd"
OPEN_FILES = 1024.0
"""The soft limit of a service that says none (DefaultLimitNOFILE)."""

_HERE = ("localhost", "127.0.0.1")
_SIZE = re.compile(r"(\d+)([KMG]?)")


def recognises(file: SourceFile) -> bool:
    """By its section, in a unit or what is added to one (``pgbouncer.service.d/limits.conf``)."""
    if file.path.suffix not in (".service", ".conf") or "[Service]" not in file.text:
        return False
    return file.path.suffix == ".service" or file.path.parent.name.endswith(".service.d")


def load(file: SourceFile) -> Reading:
    """The deployment, pooler or server that the unit starts."""
    environment: dict[str, tuple[str, Place]] = {}
    files: list[str] = []
    words: tuple[Word, ...] = ()
    limit: tuple[str, Place] | None = None
    for key, text, line in _settings(file.text):
        place = Place(file.name, line, key)
        if key == "Environment":
            environment = {**environment, **_variables(text, place)} if text else {}
        elif key == "EnvironmentFile":
            files = [*files, text.removeprefix("-")] if text else []
        elif key == "ExecStart":
            words = words_at(text.lstrip("@-:+!|"), place) if text else ()
        elif key == "LimitNOFILE":
            limit = text, place
    name = _name(file)
    template = name.endswith("@")
    place = replace(words[0][1], key=name) if words else Place(file.name, 1, name)
    open_files: Value[float] = Value.default(OPEN_FILES, SYSTEMD, place)
    if limit is not None:
        open_files = read_at(limit[0].partition(":")[0], limit[1], "LimitNOFILE", _files)
    container = Container(
        name=name.rstrip("@"),
        place=place,
        words=words,
        environment=environment,
        hosts=_HERE,
        replicas=Value.unknown("a template of units: each instance is one of its own", place)
        if template
        else Value.default(1, SYSTEMD, place),
        open_files=open_files,
        mounts=("postgresql.conf",),  # where a machine's server has its settings
        elsewhere=True,
    )
    if container.role == "program":
        if not words:
            return Reading()
        container = replace(container, hosts=())  # which of a machine's programs, nobody says
    return read(
        container,
        kind=KIND,
        environment_files=tuple(each for path in files for each in _paths(file, path)),
        surge=Value.default(0.0, SYSTEMD, place),
    )


def _name(file: SourceFile) -> str:
    """The unit's, without its suffix."""
    folder = file.path.parent.name
    name = folder.removesuffix(".d") if folder.endswith(".service.d") else file.path.name
    return name.removesuffix(".service")


def _paths(file: SourceFile, path: str) -> tuple[str, ...]:
    """The path on the machine, and the file of that name that is kept beside the unit."""
    beside = os.path.join(PurePath(file.name).parent, PurePath(path).name)
    return os.path.normpath(path), os.path.normpath(beside)


def _variables(text: str, place: Place) -> dict[str, tuple[str, Place]]:
    """Several in one line, each in quotes or without."""
    found = {}
    for word, _ in words_at(text, place):
        key, equals, value = word.partition("=")
        if equals:
            found[key] = value, replace(place, key=key)
    return found


def _files(text: str) -> float:
    if text == "infinity":
        return math.inf
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return float(int(found[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[found[2]])


def _settings(text: str) -> Iterator[tuple[str, str, int]]:
    """Keys of ``[Service]`` with their texts and lines, in order."""
    section, pending, first = "", "", 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith(("#", ";")):
            continue
        if not pending:
            first = number
        if stripped.endswith("\\"):
            pending += stripped[:-1] + " "
            continue
        whole, pending = pending + stripped, ""
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
        elif section == "Service":
            key, equals, value = whole.partition("=")
            if equals:
                yield key.strip(), value.strip(), first
