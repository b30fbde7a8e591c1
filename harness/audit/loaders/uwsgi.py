"""uWSGI's ini files: processes, threads, and the time after which a request is ended.

An option that stands in no file may come from a variable of its name (``UWSGI_PROCESSES``). One
between ``if-env`` and ``endif`` holds under a condition: the one that it is not given by its own
variable is understood, of any other it is unknown. Numbers are read as uWSGI reads them, up to the
first sign that is none (``60 ; seconds``).

Sources: https://uwsgi-docs.readthedocs.io/en/latest/Configuration.html,
https://uwsgi-docs.readthedocs.io/en/latest/ConfigLogic.html and
https://uwsgi-docs.readthedocs.io/en/latest/Options.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import TypeVar

from harness.audit.loaders.start_scripts import ASIDE
from harness.audit.reading import Reading, Runtime, read_at, truth
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value, Variable

T = TypeVar("T")

UWSGI = "uwsgi"
SECTION = re.compile(r"^\[uwsgi\][ \t\r]*$", re.MULTILINE)
_ASIDE = ASIDE | {"conf", "config", "etc", UWSGI}
"""Folders of files like this one: the program that is served stands beside the folder."""

_SUFFIXES = frozenset({".ini", ".conf", ".j2", ".template", ".tmpl"})
_INCLUDES = frozenset({"include", "inherit", "ini", "ini-paste", "ini-paste-logged"})
_PROCESSES, _THREADS = ("processes", "workers", "p"), ("threads",)
_HARAKIRI, _LAZY = ("harakiri", "t"), ("lazy-apps", "lazy")
_COROUTINES = ("gevent", "async", "asyncio")


def recognises(file: SourceFile) -> bool:
    """By its section."""
    return file.path.suffix in _SUFFIXES and SECTION.search(file.text) is not None


def load(file: SourceFile) -> Reading:
    """How the program around it is served."""
    options = _Options(file)
    folder = PurePath(file.name).parent
    if folder.name in _ASIDE:
        folder = folder.parent
    return Reading(
        runtimes=(
            Runtime(
                place=Place(file.name),
                folder=str(folder),
                processes=options.of(_PROCESSES, count_of, 1),
                threads=_threads(options),
                timeout_s=options.of(_HARAKIRI, seconds_of, math.inf),
                preload=options.of(_LAZY, truth, False).map(lambda lazy: not lazy),
                serves=Value.default(True, UWSGI, Place(file.name)),
            ),
        )
    )


def _threads(options: _Options) -> Value[float]:
    """One by default; a process with a loop of coroutines has as many requests as these."""
    loops = [name for name in _COROUTINES if options.has(name)]
    if loops:
        return options.of(tuple(loops), count_of, 1).map(float)
    return options.of(_THREADS, count_of, 1).map(float)


def count_of(text: str) -> int:
    """A number of processes or threads, of which there is at least one."""
    return max(_leading(text), 1)


def seconds_of(text: str) -> float:
    """A time in seconds, of which 0 ends nothing."""
    return _leading(text) or math.inf


def _leading(text: str) -> int:
    found = re.match(r"\s*(\d+)", text)
    if found is None:
        raise ValueError(text)
    return int(found[1])


def variable_of(options: tuple[str, ...], read: Callable[[str], T]) -> Variable[T]:
    """The variable by which uWSGI takes an option from its environment, by all of its names."""
    first, *others = (f"UWSGI_{name.replace('-', '_').upper()}" for name in options)
    return Variable(first, read, aliases=tuple(others))


@dataclass(frozen=True, slots=True)
class _Said:
    """An option that is set, under the conditions around it (``if-not-env``, ``NAME``)."""

    text: str
    place: Place
    conditions: tuple[tuple[str, str], ...]


class _Options:
    """The options of the file's section, the last of each name."""

    def __init__(self, file: SourceFile) -> None:
        self._place = Place(file.name)
        self._said: dict[str, _Said] = {}
        self._includes = False
        for name, said in _options(file):
            self._said[name] = said
            self._includes |= name in _INCLUDES

    def has(self, name: str) -> bool:
        return name in self._said

    def of(self, names: tuple[str, ...], read: Callable[[str], T], default: T) -> Value[T]:
        """An option by any of its names; the first that is there."""
        variable = variable_of(names, read)
        for name in names:
            if name not in self._said:
                continue
            said = self._said[name]
            value = read_at(said.text, said.place, name, read)
            if not said.conditions:
                return value
            own = {("if-not-env", each) for each in (variable.name, *variable.aliases)}
            if set(said.conditions) <= own:
                return value.decided_by(variable)
            return Value.unknown(f"{name} is set under a condition", said.place)
        if self._includes:
            return Value.unknown(f"{names[0]} may stand in what is included here", self._place)
        return Value.default(default, UWSGI, self._place).decided_by(variable)


def _options(file: SourceFile) -> Iterator[tuple[str, _Said]]:
    section = ""
    conditions: list[tuple[str, str]] = []
    for number, line in enumerate(map(str.strip, file.lines), 1):
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        name, _, text = (part.strip() for part in line.partition("="))
        if section != UWSGI:
            continue
        if name == "endif":
            del conditions[-1:]
        elif name.startswith("if-"):
            conditions.append((name, text))
        else:
            # An option without a value is switched on.
            text = text if "=" in line else "true"
            yield name, _Said(text, Place(file.name, number, name), tuple(conditions))
