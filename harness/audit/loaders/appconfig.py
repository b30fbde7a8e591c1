"""An application's own configuration (TOML, YAML, JSON) that sizes a pool without code.

It is recognised by what it says: a section about a database that has the settings of a pool.
Whose pool it is, the names tell, or nothing does: then what is not said is unknown, because
nobody's defaults are known to hold.

Defaults: https://docs.sqlalchemy.org/en/20/core/engines.html,
https://www.psycopg.org/psycopg3/docs/api/pool.html and https://node-postgres.com/apis/pool
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.audit.finding import Unread
from harness.audit.loaders.database_urls import is_postgresql, target_from
from harness.audit.loaders.pool_sections import IN_A_POOL, SQLALCHEMY, URLS, Section, sections_of
from harness.audit.loaders.secrets import without_secrets
from harness.audit.parts import Implementation, Pool, Target
from harness.audit.reading import (
    Code,
    Reading,
    Settings,
    number,
    read_at,
    truth,
    zero_is_unlimited,
)
from harness.audit.sources import SourceFile
from harness.audit.trees import documents_of
from harness.audit.values import Place, Value
from harness.audit.yamls import Item, NotReadable

MOST_CHARACTERS = 100_000
"""Settings written by people are shorter; what is longer is data, and slow to read."""

_SUFFIXES = frozenset({".toml", ".yaml", ".yml", ".json"})
_KEYS = re.compile(
    r"""["']?\b(?:pool_?-?size|max_?-?overflow|pool_?-?(?:timeout|recycle|pre_?-?ping)"""
    r"""|(?:max|min)_?-?(?:pool_?-?)?size|maximum_?-?pool_?-?size|max_?-?waiting"""
    r"""|connection_?timeout_?millis|pool)["']?\s*(?:[:=]|\])""",
    re.IGNORECASE,
)
_DATABASE = re.compile(
    r"database|\bdb\b|postgres|\bpg\b|psql|sqlalchemy|data_?-?source|engine", re.IGNORECASE
)
_NOT_OURS = frozenset(
    {"package.json", "package-lock.json", "composer.json", "composer.lock", "pyproject.toml",
     "Cargo.toml", "pnpm-lock.yaml", "tsconfig.json", "poetry.lock", "uv.lock", "Pipfile.lock"}
)  # fmt: skip
_SIZES = ("poolsize", "maxpoolsize", "maximumpoolsize", "poolmaxsize", "poolmax", "maxsize")
_MOST = frozenset({"max", "maxsize", "maxpoolsize", "maxconnections", "poolmax", "poolmaxsize"})
_PGCAT = re.compile(r"^\[pools\.[^\]\n]+\.(users|shards)\.\d+\]", re.MULTILINE)
"""A pooler's, whose pools are no program's."""

WHOSE_IS_NOT_SEEN = "the configuration does not say, and whose defaults hold is not to be seen"
_UNIT_IS_NOT_SEEN = "its unit is not to be seen"


def recognises(file: SourceFile) -> bool:
    """By the names of a pool's settings and a database's; most files have neither."""
    if file.path.suffix not in _SUFFIXES or file.path.name in _NOT_OURS:
        return False
    if len(file.text) > MOST_CHARACTERS:
        return False
    if "ool" not in file.text and "size" not in file.text and "verflow" not in file.text:
        return False
    if _KEYS.search(file.text) is None or _DATABASE.search(file.text) is None:
        return False
    try:
        return any(True for document in documents_of(file) for _ in sections_of(document))
    except NotReadable:
        # Nothing says that it would have been one.
        return False


def load(file: SourceFile) -> Reading:
    """A pool for each section that sizes one."""
    if _PGCAT.search(file.text) is not None:
        return Reading(unread=(Unread(file.name, "PgCat's: of poolers, PgBouncer is judged"),))
    try:
        found = [each for document in documents_of(file) for each in sections_of(document)]
    except NotReadable as error:
        return Reading(unread=(Unread(file.name, str(error), error.line),))
    pools = tuple(pool for section in found if (pool := _pool(file, section)) is not None)
    folder = Path(file.name).parent
    # A folder of settings belongs to the program around it.
    if folder.name in ("config", "conf", "settings", "etc"):
        folder = folder.parent
    # Of several sections, nobody knows which one a name in the code is of.
    said = _said(file, found[0]) if len(found) == 1 else {}
    code = Code(place=Place(file.name), folder=str(folder), pools=pools, said=said)
    return Reading(codes=(code,) if pools else ())


def _said(file: SourceFile, section: Section) -> Settings:
    """Its settings as they are spelt, without secrets."""
    return without_secrets(
        {
            name: (item.text or "", Place(file.name, item.line, name))
            for name, item in section.named.items()
        }
    )


def _pool(file: SourceFile, section: Section) -> Pool | None:
    place = Place(file.name, section.line, ".".join(section.path))
    of = _Of(file, section, place)
    url = of.url()
    if url is not None and url.known is not None and not is_postgresql(url.known):
        return None  # another database's
    whose, defaults = _product(section)
    if not whose and section.own.keys() & _MOST:
        defaults = {"max_overflow": 0}  # a maximum is one
    default = _Default(whose or "what a maximum is", defaults, place)
    implementation: Implementation = _IMPLEMENTATIONS.get(whose, "unknown")
    overflow = of.number("maxoverflow", default=default("max_overflow")).map(
        lambda most: math.inf if most < 0 else most
    )
    size = of.number(*_SIZES, *(IN_A_POOL if of.is_pool else ()), default=default("size"))
    return Pool(
        name=".".join(section.path),
        place=place,
        implementation=implementation,
        size=size.map(lambda most: most or math.inf) if whose == _SQLA else size,
        max_overflow=overflow,
        min_size=of.number(
            "minsize",
            "minpoolsize",
            "poolminsize",
            "poolmin",
            "minimumidle",
            *(("min",) if of.is_pool else ()),
            default=default("min_size"),
        ),
        max_waiting=of.number("maxwaiting", default=default("max_waiting")).map(
            lambda most: most or math.inf
        ),
        timeout_s=of.time(
            "pooltimeout",
            "acquiretimeout",
            "connectiontimeout",
            "timeout",
            whose=whose,
            default=default("timeout"),
        ),
        recycle_s=of.time(
            "poolrecycle", "maxlifetime", "recycle", whose=whose, default=default("recycle")
        ).map(lambda after: math.inf if after < 0 else after),
        pre_ping=of.truth("poolpreping", "preping", default=default("pre_ping").map(bool)),
        use_lifo=of.truth("pooluselifo", "uselifo", default=default("use_lifo").map(bool)),
        target=of.target(url),
    )


_SQLA, _PSYCOPG, _NODE, _HIKARI = "SQLAlchemy", "psycopg_pool", "node-postgres", "HikariCP"
_IMPLEMENTATIONS: Mapping[str, Implementation] = {
    _SQLA: "sqlalchemy",
    _PSYCOPG: "psycopg-pool",
    _HIKARI: "hikari",
}
_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    _SQLA: {"size": 5, "max_overflow": 10, "timeout": 30, "recycle": -1, "pre_ping": 0,
            "use_lifo": 0},
    _PSYCOPG: {"max_overflow": 0, "min_size": 4, "max_waiting": 0, "timeout": 30,
               "recycle": 3600, "pre_ping": 0, "use_lifo": 0},
    _NODE: {"size": 10, "max_overflow": 0, "timeout": math.inf, "max_waiting": 0},
    _HIKARI: {"size": 10, "max_overflow": 0, "timeout": 30, "recycle": 1800, "pre_ping": 1,
              "max_waiting": 0},
}  # fmt: skip


def _product(section: Section) -> tuple[str, Mapping[str, float]]:
    """Whose pool the names are of; "" where they do not tell."""
    names = section.own.keys()
    called = "".join(section.path).lower()
    if names & SQLALCHEMY or "sqlalchemy" in called:
        return _SQLA, _DEFAULTS[_SQLA]
    if "maxwaiting" in names:
        return _PSYCOPG, _DEFAULTS[_PSYCOPG]
    if names & {"connectiontimeoutmillis", "idletimeoutmillis"}:
        return _NODE, _DEFAULTS[_NODE]
    if "maximumpoolsize" in names:
        return _HIKARI, _DEFAULTS[_HIKARI]
    return "", {}


class _Default:
    """What holds for a setting that is not there."""

    def __init__(self, whose: str, values: Mapping[str, float], place: Place) -> None:
        self._whose = whose
        self._values = values
        self._place = place

    def __call__(self, name: str) -> Value[float]:
        if name in self._values:
            return Value.default(float(self._values[name]), self._whose, self._place)
        return Value.unknown(WHOSE_IS_NOT_SEEN, self._place)


class _Of:
    """The settings of a section by their names, the first that is there."""

    def __init__(self, file: SourceFile, section: Section, place: Place) -> None:
        self._file = file
        self._section = section
        self._place = place
        self.is_pool = section.is_pool

    def number(self, *names: str, default: Value[float]) -> Value[float]:
        """A number."""
        return self._read(self._section.own, names, number, default)

    def truth(self, *names: str, default: Value[bool]) -> Value[bool]:
        """True or False."""
        return self._read(self._section.own, names, truth, default)

    def time(self, *names: str, whose: str, default: Value[float]) -> Value[float]:
        """Seconds: by the unit in the name, else by the product's; else it is unknown."""
        for name in names:
            for suffix, unit_s in (("ms", 0.001), ("millis", 0.001), ("milliseconds", 0.001),
                                   ("s", 1.0), ("sec", 1.0), ("secs", 1.0), ("seconds", 1.0),
                                   ("", _UNITS_S.get(whose))):  # fmt: skip
                item = self._section.own.get(f"{name}{suffix}")
                if item is None:
                    continue
                if unit_s is None:
                    return Value.unknown(_UNIT_IS_NOT_SEEN, Place(self._file.name, item.line))
                said = self._at(item, name, zero_is_unlimited if whose == _NODE else number)
                return said.map(_times(unit_s))
        return default

    def url(self) -> Value[str] | None:
        """The database's URL, where there is one."""
        for section in (self._section.own, self._section.around):
            for name in URLS:
                if name in section and section[name].text:
                    item = section[name]
                    place = Place(self._file.name, item.line, name)
                    return read_at(item.text or "", place, "the database URL", str, partial=True)
        return None

    def target(self, url: Value[str] | None) -> Target:
        """Where the pool connects to, by its URL, else by its parts."""
        if url is not None:
            return target_from(url, self._place)
        both = {**self._section.around, **self._section.own}
        nothing: Value[str] = Value.unknown("it is not said", self._place)
        port: Value[int] = Value.default(5432, "PostgreSQL's clients", self._place)
        return Target(
            host=self._read(both, ("host", "hostname", "server"), str, nothing),
            port=self._read(both, ("port",), int, port),
            database=self._read(both, ("name", "database", "dbname"), str, nothing),
            user=self._read(both, ("user", "username"), str, nothing),
        )

    def _read(
        self,
        section: Mapping[str, Item],
        names: tuple[str, ...],
        read: Callable[[str], Any],
        default: Value[Any],
    ) -> Value[Any]:
        for name in names:
            if name in section:
                return self._at(section[name], name, read)
        return default

    def _at(self, item: Item, name: str, read: Callable[[str], Any]) -> Value[Any]:
        return read_at(item.text or "", Place(self._file.name, item.line, name), name, read)


_UNITS_S = {_SQLA: 1.0, _PSYCOPG: 1.0, _HIKARI: 0.001}


def _times(unit_s: float) -> Callable[[float], float]:
    return lambda count: count * unit_s
