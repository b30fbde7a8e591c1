"""Which database a program has: PostgreSQL, another product's, or none that anything tells of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.audit.joining.environments import setting_of
from harness.audit.parts import Pool, Pooler, Server
from harness.audit.paths import common
from harness.audit.reading import Deployment, OtherDatabase, Service, Setting
from harness.audit.values import Place, Settings

_KEY = r"(^|_)(DB|DATABASE|PG|PGSQL|POSTGRES(QL|DB)?)(_URL)?_{0,2}"
_HOST = re.compile(rf"{_KEY}HOST(NAME)?$", re.IGNORECASE)
"""Variables by which images are commonly told of their database."""

_PORT = re.compile(rf"{_KEY}PORT$", re.IGNORECASE)
_KIND = re.compile(
    r"(^|_)(DB|DATABASE)_{0,2}(DB_)?"
    r"(CONNECTION|TYPE|DRIVER|ENGINE|DIALECT|CLIENT|VENDOR|KIND|ADAPTER|BACKEND)$"
    r"|^KC_DB$",
    re.IGNORECASE,
)
_OWN = re.compile(r"(^|_)(PG|PGSQL|POSTGRES(QL|DB)?)_", re.IGNORECASE)
"""A variable that names PostgreSQL itself: no other product's is meant."""

_ADDRESS = re.compile(r"^\s*(jdbc:)?(postgres(ql)?|postgis|pgsql)(\+\w+)?://", re.IGNORECASE)
_OTHERS_ADDRESS = re.compile(
    r"^\s*(jdbc:)?(mysql2?|mariadb|sqlite3?|mssql|sqlserver|oracle|h2|hsqldb|derby|db2"
    r"|mongodb(\+srv)?)(\+\w+)?:",
    re.IGNORECASE,
)
_OTHERS_KIND = re.compile(
    r"\b(mysql2?|mysqli|maria(db)?|sqlite3?|mssql|sqlserver|oracle|h2|mongo(db)?)\b",
    re.IGNORECASE,
)
_OTHERS_PORTS = frozenset({"3306", "1433", "1521", "27017"})
_WITH_PORT = re.compile(r"^(?P<host>[^:/\s]+)(?::(?P<port>\d+))?$")


class Databases:
    """The databases of all files, by the names that lead to them."""

    def __init__(
        self,
        ends: Iterable[Pooler | Server] = (),
        others: Iterable[OtherDatabase] = (),
        services: Iterable[Service] = (),
    ) -> None:
        self._ends = tuple(ends)
        leading = tuple(services)
        self._others = tuple(
            (
                each,
                {each.name, *each.hosts, *(s.name for s in leading if each.name in s.deployments)},
            )
            for each in others
        )

    def connects(self, environment: Settings, near: Place) -> bool:
        """Whether a program's variables tell of a PostgreSQL: an address, or a database's host."""
        if any(_ADDRESS.match(text) for text, _ in environment.values()):
            return True
        hosts = {key: text for key, (text, _) in environment.items() if _HOST.search(key)}
        if any(_OWN.search(key) for key in hosts):
            return True
        if _is_told_of_another(environment):
            return False
        return any(not self._is_anothers(text, near) for text in hosts.values())

    def _is_anothers(self, text: str, near: Place) -> bool:
        """Whether a host is another product's, by its port or as the nearest of that name."""
        found = _WITH_PORT.match(text.strip())
        if found is None:
            return False
        if found["port"] in _OTHERS_PORTS:
            return True
        host, first = found["host"], found["host"].partition(".")[0]
        theirs = [o.place for o, names in self._others if host in names or first in names]
        ours = [
            e.place for e in self._ends if host in (e.name, *e.hosts) or first in (e.name, *e.hosts)
        ]
        return _nearest(theirs, near) > _nearest(ours, near)


def _nearest(places: Sequence[Place], near: Place) -> int:
    return max((common(near.file, each.file) for each in places), default=-1)


def _is_told_of_another(environment: Settings) -> bool:
    return any(_tells_of_another(key, text) for key, (text, _) in environment.items())


def _tells_of_another(key: str, text: str) -> bool:
    """Whether a variable names another product, or its port."""
    if _OTHERS_ADDRESS.match(text) and not _HOST.search(key):
        return True
    if _KIND.search(key) and _OTHERS_KIND.search(text):
        return True
    return _PORT.search(key) is not None and text.strip() in _OTHERS_PORTS


def overlaid(base: Deployment, over: Deployment) -> Settings:
    """The variables of one deployment in two files, of which the second holds.

    One may be for another product (``compose.sqlite.yaml`` beside ``compose.postgres.yaml``): they
    are alternatives then, and what is said of PostgreSQL is what is judged. So it is where a file
    only adds to another, and there may be others that add something else.
    """
    return {**_less(base, over), **_less(over, base)}


def _less(one: Deployment, other: Deployment) -> Settings:
    """Its variables, without those of another product where it is an alternative to ``other``."""
    adds = not (one.image or one.folder) and bool(other.image or other.folder)
    alternative = adds or _has_database(other.environment)
    if not alternative or _is_told_of_another(other.environment):
        return one.environment
    return {
        key: said for key, said in one.environment.items() if not _tells_of_another(key, said[0])
    }


def _has_database(environment: Settings) -> bool:
    return any(
        _ADDRESS.match(text) or _HOST.search(key) or _KIND.search(key)
        for key, (text, _) in environment.items()
    )


def is_anothers(
    pool: Pool, environment: Settings, settings: Sequence[Setting], folder: str
) -> bool:
    """Whether the URL that a variable gives a pool is one of another product's."""
    variable = pool.target.host.variable
    if variable is None:
        return False
    if variable.attribute:
        setting = setting_of(variable, settings, folder)
        if setting is None:
            return False
        text, _ = environment.get(setting.variable, (setting.text or "", setting.place))
        return _OTHERS_ADDRESS.match(text) is not None
    name = variable.named_in(environment)
    return name is not None and _OTHERS_ADDRESS.match(environment[name][0]) is not None


def is_not_postgresql(pool: Pool) -> bool:
    """Whether a pool that files give to another product is not given to PostgreSQL elsewhere."""
    said = pool.is_postgresql
    return said.known is False or (said.known is None and said.variable is not None)
