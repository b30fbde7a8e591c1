"""PasteDeploy's ini files, Pyramid's for instance: an engine's settings, and the server's.

What ``engine_from_config`` is given stands in the application's section, under a prefix. Keys of
``[DEFAULT]`` are for all applications together, and go to none. A file for development or tests
(``development.ini``) is passed over: it serves nobody.

Sources: https://docs.pylonsproject.org/projects/pastedeploy/en/latest/ and
https://docs.sqlalchemy.org/en/20/core/engines.html#sqlalchemy.engine_from_config
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from configparser import Error, RawConfigParser
from pathlib import PurePath
from typing import TypeVar

from harness.audit.finding import Unread
from harness.audit.loaders.database_urls import is_postgresql, parameter_of, target_from
from harness.audit.loaders.serving import PROGRAMS, Start
from harness.audit.loaders.shell import Word
from harness.audit.parts import Pool
from harness.audit.reading import Code, Reading, Runtime, number, read_at, truth
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value

T = TypeVar("T")

SQLALCHEMY = "SQLAlchemy"
_SECTION = re.compile(r"^\[(?:app|application|server)(?::[\w.-]+)?\]", re.MULTILINE)
_USE = re.compile(r"^(use|paste\.\w+_factory)[ \t]*=", re.MULTILINE)
"""What makes a section without a name one of PasteDeploy's: others have a ``[server]`` as well."""

_ASIDE = re.compile(r"(dev|devel|development|test|tests|testing|local|ci)([._-].*)?\.ini")
_PREFIX = re.compile(r"((?:[\w-]+\.)*)url")
_HEADER = re.compile(r"\[([^\]]+)\]")
_SETTINGS = frozenset({"pool_size", "max_overflow", "pool_timeout", "pool_recycle"})
_USES = re.compile(r"egg:(waitress|gunicorn)(?:#\w+)?")
_OPTIONS = {
    "waitress": {"threads": "--threads"},
    "gunicorn": {
        "workers": "--workers",
        "threads": "--threads",
        "timeout": "--timeout",
        "worker_class": "--worker-class",
        "worker_connections": "--worker-connections",
    },
}
"""Settings of a server's section, as the options that they are on its command line."""

_Section = Mapping[str, tuple[str, Place]]


def recognises(file: SourceFile) -> bool:
    """By a section of PasteDeploy's."""
    found = _SECTION.search(file.text) if file.path.suffix == ".ini" else None
    return found is not None and (":" in found[0] or _USE.search(file.text) is not None)


def load(file: SourceFile) -> Reading:
    """A pool for each application's engine, and how the server is run."""
    if _ASIDE.fullmatch(file.path.name):
        return Reading()
    try:
        sections = _sections(file)
    except Error as error:
        lines = [line for line, _ in getattr(error, "errors", ())]
        line = getattr(error, "lineno", None) or next(iter(lines), 0)
        return Reading(unread=(Unread(file.name, "not an ini file's syntax", line),))
    folder = str(PurePath(file.name).parent)
    pools = tuple(
        pool
        for name, section in sections.items()
        if name.partition(":")[0] in ("app", "application")
        for prefix in _prefixes(section)
        if (pool := _pool(Place(file.name, key=name), prefix, section)) is not None
    )
    runtimes = tuple(
        runtime
        for name, section in sections.items()
        if name.partition(":")[0] == "server"
        and (runtime := _runtime(Place(file.name, key=name), section, folder)) is not None
    )
    code = Code(place=Place(file.name), folder=folder, pools=pools, given=True)
    return Reading(codes=(code,) if pools else (), runtimes=runtimes)


def _sections(file: SourceFile) -> dict[str, _Section]:
    """Every section, its keys with their lines. Raises `configparser.Error`."""
    parser = RawConfigParser(strict=False, default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(file.text)
    lines = dict(_lines(file.text))
    return {
        name: {
            key: (text, Place(file.name, lines.get((name, key), 0), key))
            for key, text in parser.items(name)
        }
        for name in parser.sections()
    }


def _lines(text: str) -> Iterator[tuple[tuple[str, str], int]]:
    """The lines of keys, of which the parser says nothing; of several the last one holds."""
    section = ""
    for line, content in enumerate(text.splitlines(), 1):
        if (header := _HEADER.match(content)) is not None:
            section = header[1]
        elif not content[:1].isspace():
            yield (section, re.split("[=:]", content, maxsplit=1)[0].rstrip()), line


def _prefixes(section: _Section) -> list[str]:
    """What stands before ``url`` and settings of an engine (``sqlalchemy.``)."""
    found = [match[1] for key in section if (match := _PREFIX.fullmatch(key)) is not None]
    return [
        each
        for each in found
        if each == "sqlalchemy."
        or (each and _SETTINGS & {key.removeprefix(each) for key in section})
    ]


def _pool(place: Place, prefix: str, section: _Section) -> Pool | None:
    text, there = section[f"{prefix}url"]
    url = read_at(text, there, "the database URL", str, partial=True)
    if url.known is not None and "://" in url.known and not is_postgresql(url.known):
        return None
    of = _Of(section, prefix, there)
    unsaid: Value[float] = Value.unknown("its URL does not say it", there)
    return Pool(
        name=place.key,
        place=there,
        implementation="sqlalchemy",
        size=of.said("pool_size", number, 5.0).map(lambda size: size or math.inf),
        max_overflow=of.said("max_overflow", number, 10.0).map(_negative_is_unlimited),
        timeout_s=of.said("pool_timeout", number, 30.0),
        recycle_s=of.said("pool_recycle", number, -1.0).map(_negative_is_unlimited),
        pre_ping=of.said("pool_pre_ping", truth, False),
        use_lifo=of.said("pool_use_lifo", truth, False),
        connect_timeout_s=parameter_of(url, "connect_timeout", number, unsaid, there),
        target=target_from(url, there),
    )


class _Of:
    """An engine's settings."""

    def __init__(self, section: _Section, prefix: str, place: Place) -> None:
        self._section = section
        self._prefix = prefix
        self._place = place
        text, _ = section.get("use", ("", place))
        self._more = text.startswith("config:")

    def said(self, key: str, read: Callable[[str], T], default: T) -> Value[T]:
        """A setting; SQLAlchemy's default where this file is the only one to say it."""
        key = f"{self._prefix}{key}"
        if key in self._section:
            text, place = self._section[key]
            return read_at(text, place, key, read)
        if self._more:
            return Value.unknown(f"{key} may stand in the file that is used here", self._place)
        return Value.default(default, SQLALCHEMY, self._place)


def _negative_is_unlimited(value: float) -> float:
    return math.inf if value < 0 else value


def _runtime(place: Place, section: _Section, folder: str) -> Runtime | None:
    """As the server's command would say it."""
    text, there = section.get("use", ("", place))
    used = _USES.fullmatch(text)
    if used is None:
        return None
    program = used[1]
    words: list[Word] = []
    for key, option in _OPTIONS[program].items():
        if key in section:
            words += ((option, section[key][1]), section[key])
    preloads, at = section.get("preload_app", ("", there))
    if preloads.lower() in ("true", "yes", "on", "1"):
        words.append(("--preload", at))
    return PROGRAMS[program](Start(program, tuple(words), there, folder, {}))
