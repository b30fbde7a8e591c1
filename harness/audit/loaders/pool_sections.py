"""Sections of an application's configuration that size a pool of database connections.

A section is recognised by what it says: it is about a database, and has the settings of a pool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.audit.loaders.database_urls import is_postgresql
from harness.audit.yamls import Item

_FOREIGN = re.compile(
    r"redis|cache|celery|broker|rabbit|amqp|kafka|mongo|mysql|maria|elastic|sqlite|http|thread"
    r"|worker|memcache|ldap|smtp|grpc|clickhouse|cassandra|oracle|mssql",
    re.IGNORECASE,
)
"""Sections whose pools are somebody else's."""

_DATABASE_SECTION = re.compile(
    r"(^|[._-])(database|databases|db|postgres|postgresql|pg|psql|sqlalchemy|datasource"
    r"|data_source|engine|sql|orm)\d*($|[._-])",
    re.IGNORECASE,
)
_POOL_SECTION = re.compile(r"^(connection_?|conn_?|db_?)?pool(_?(options|settings|config))?$", re.I)
_DEEPEST = 6
SQLALCHEMY = frozenset({"maxoverflow", "poolrecycle", "poolpreping", "pooluselifo"})
_STRONG = SQLALCHEMY | {
    "poolsize", "pooltimeout", "maxwaiting", "maxpoolsize", "minpoolsize", "maximumpoolsize",
    "connectiontimeoutmillis", "idletimeoutmillis",
}  # fmt: skip
IN_A_POOL = frozenset({"size", "max", "maxsize", "maxconnections", "limit"})
URLS = ("url", "uri", "dsn", "databaseurl", "databaseuri", "connectionstring", "connectionurl",
         "sqlalchemydatabaseuri", "sqlalchemyurl", "postgresdsn", "postgresurl")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping that sizes a pool: its values by their names without ``_`` and ``-``.

    What stands around it (the database's address) is in ``around``.
    """

    path: tuple[str, ...]
    line: int
    own: Mapping[str, Item]
    around: Mapping[str, Item]
    named: Mapping[str, Item]
    """All of them by their names as they are spelt; its own hold."""

    @property
    def is_pool(self) -> bool:
        """Whether it calls itself a pool, so that a plain ``size`` in it is one."""
        return _POOL_SECTION.match(self.path[-1]) is not None


def sections_of(document: Item) -> Iterator[Section]:
    """Every section that does; a Kubernetes object is a loader of its own's."""
    if document.get("apiVersion") is not None or document.get("openapi") is not None:
        return
    yield from _below(document, (), {})


def _below(item: Item, path: tuple[str, ...], above: Mapping[str, Item]) -> Iterator[Section]:
    if len(path) > _DEEPEST or any(_FOREIGN.search(part) for part in path):
        return
    for each in item.items or ():
        yield from _below(each, path, above)
    if item.fields is None:
        return
    texts = {key: each for key, each in item.fields.items() if each.text is not None}
    own = {_bare(key): each for key, each in texts.items()}
    around = {_bare(key): each for key, each in above.items()}
    if path and _sizes_a_pool(path, own, around):
        yield Section(path, item.line, own, around, {**above, **texts})
    for key, inner in item.fields.items():
        yield from _below(inner, (*path, key), texts)


def _sizes_a_pool(
    path: tuple[str, ...], own: Mapping[str, Item], above: Mapping[str, Item]
) -> bool:
    names = own.keys()
    if _POOL_SECTION.match(path[-1]):
        sized = bool(names & (_STRONG | IN_A_POOL))
        about = any(_DATABASE_SECTION.search(part) for part in path[:-1]) or _has_url(own, above)
    else:
        sized = bool(names & _STRONG) or {"minsize", "maxsize"} <= names
        about = any(_DATABASE_SECTION.search(part) for part in path) or _has_url(own, above)
    return sized and about


def _has_url(*sections: Mapping[str, Item]) -> bool:
    return any(is_postgresql(s[key].text or "") for s in sections for key in URLS if key in s)


def _bare(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
