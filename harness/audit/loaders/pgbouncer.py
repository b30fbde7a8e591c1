"""``pgbouncer.ini`` and its list of users.

The lines are read here: PgBouncer includes files, has no continued lines, and no comments behind a
value, all of which the standard library's parser takes otherwise. Of a template of it (Jinja, ERB)
the lines are read that stand there in any case; what a condition guards is filled in elsewhere.
Source: https://www.pgbouncer.org/config.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import PurePath

from harness.audit.finding import Unread
from harness.audit.parts import Pooler, PoolerDatabase
from harness.audit.reading import PoolerFile, Reading, UserList, number, parsed, zero_is_unlimited
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Settings, Value
from harness.audit.yamls import FILLED_IN

PGBOUNCER = "PgBouncer"
SECTION, DATABASES = "pgbouncer", "databases"
INCLUDE = "%include"
PORT = 6432
SETTINGS = frozenset(
    {
        "auth_file",
        "client_idle_timeout",
        "default_pool_size",
        "idle_transaction_timeout",
        "max_client_conn",
        "max_db_connections",
        "max_prepared_statements",
        "max_user_connections",
        "min_pool_size",
        "pool_mode",
        "query_timeout",
        "query_wait_timeout",
        "reserve_pool_size",
        "reserve_pool_timeout",
        "server_idle_timeout",
        "server_lifetime",
        "server_login_retry",
        "transaction_timeout",
    }
)
"""Those that have a part in the chain."""

WORDS = (
    "host",
    "pool_size",
    "user",
    "max_db_connections",
    "pool_mode",
    "reserve_pool",
    "reserve_pool_size",
)
"""Of a database's connection string."""

MODES = ("session", "transaction", "statement")

TEMPLATES = frozenset({".erb", ".j2", ".template", ".tmpl", ".tpl"})
_SUFFIXES = frozenset({".ini", ".conf", ".cfg"})
_CONTROL = re.compile(r"\{[%#]|<%(?!=)")
_BEGINS = re.compile(r"(?:\{%|<%)[-+]?\s*(?:if|unless|for|macro|(?:[\w.@]+\.)?each)\b")
_ENDS = re.compile(r"(?:\{%|<%)[-+]?\s*end\w*\b")
_SECTION = re.compile(r"^[ \t]*\[(?:pgbouncer|databases|users)\][ \t\r]*$", re.MULTILINE)
_USER = re.compile(r'\s*"(?:[^"]|"")+"\s+"(?:[^"]|"")*"')
_WORD = re.compile(r"\b(\w+)\s*=\s*('(?:[^']|'')*'|\S*)")
"""A part of a database's connection string. A quote within quotes is doubled."""


def recognises(file: SourceFile) -> bool:
    """By its section, whatever it is called; a list of users by its pairs of quoted words."""
    if file.path.suffix == ".txt":
        return _is_user_list(file)
    path = PurePath(file.path.name)
    plain = path.with_suffix("") if path.suffix in TEMPLATES else path
    return plain.suffix in _SUFFIXES and bool(_SECTION.search(file.text))


def load(file: SourceFile) -> Reading:
    """The file's lines; other files may include it. Of a list of users only their count."""
    if file.path.suffix == ".txt":
        return Reading(user_lists=(UserList(Place(file.name), _users(file)),))
    found: list[tuple[str, str, str, Place]] = []
    section, guarded = "", 0
    template = file.path.suffix in TEMPLATES
    for count, line in enumerate(map(str.strip, file.lines), 1):
        if template and _CONTROL.match(line):
            guarded = max(guarded + bool(_BEGINS.match(line)) - bool(_ENDS.search(line)), 0)
            continue
        key, equals, text = (part.strip() for part in line.partition("="))
        if not line or line[0] in "#;":
            continue
        text = FILLED_IN if guarded and section == SECTION else text
        if line.startswith(INCLUDE):
            path = line.removeprefix(INCLUDE).strip()
            found.append((section, INCLUDE, path, Place(file.name, count, INCLUDE)))
        elif line.startswith("[") and line.endswith("]"):
            section = line.strip("[]").strip()
            found.append((section, "", "", Place(file.name, count)))
        elif not equals and template:
            continue  # it may be a line that becomes one, or none
        elif not equals:
            return Reading(unread=(Unread(file.name, "not an INI file", count),))
        elif (kept := _kept(section, key, text)) is not None:
            found.append((section, key, kept, Place(file.name, count, key)))
    return Reading(pooler_files=(PoolerFile(place=Place(file.name), lines=tuple(found)),))


def _kept(section: str, key: str, text: str) -> str | None:
    """What the chain has a use for; None for all else. Passwords stay in the file."""
    if section in (SECTION, "") and key in SETTINGS:
        return text
    if section == DATABASES or (section == "" and _WORD.match(text)):
        return " ".join(f"{word}={value}" for word, value in _WORD.findall(text) if word in WORDS)
    return None


def pooler_of(
    settings: Settings,
    *,
    name: str,
    place: Place,
    hosts: tuple[str, ...] = (),
    databases: tuple[PoolerDatabase, ...] = (),
    incomplete: str = "",
) -> Pooler:
    """The pooler that runs with these settings; PgBouncer's defaults for what is not said.

    With ``incomplete``, which says why, there are no defaults: the rest may be said elsewhere.
    """

    def default(value: float, whose: str = PGBOUNCER) -> Value[float]:
        return (
            Value.unknown(incomplete, place) if incomplete else Value.default(value, whose, place)
        )

    def of(key: str, value: float) -> Value[float]:
        return parsed(settings, key, _amount, default(value))

    def limit(key: str, value: float) -> Value[float]:
        return parsed(settings, key, _limit, default(value))

    mode: Value[str] = (
        Value.unknown(incomplete, place)
        if incomplete
        else Value.default("session", PGBOUNCER, place)
    )
    return Pooler(
        name=name,
        place=place,
        pool_mode=parsed(settings, "pool_mode", _mode, mode),
        default_pool_size=limit("default_pool_size", 20.0),  # 0 is no limit since 1.24
        min_pool_size=of("min_pool_size", 0.0),
        reserve_pool_size=of("reserve_pool_size", 0.0),
        reserve_pool_timeout_s=limit("reserve_pool_timeout", 5.0),
        max_client_conn=of("max_client_conn", 100.0),
        max_db_connections=limit("max_db_connections", math.inf),
        max_user_connections=limit("max_user_connections", math.inf),
        query_wait_timeout_s=limit("query_wait_timeout", 120.0),
        query_timeout_s=limit("query_timeout", math.inf),
        client_idle_timeout_s=limit("client_idle_timeout", math.inf),
        idle_transaction_timeout_s=limit("idle_transaction_timeout", math.inf),
        transaction_timeout_s=limit("transaction_timeout", math.inf),  # PgBouncer 1.25
        server_idle_timeout_s=limit("server_idle_timeout", 600.0),
        server_lifetime_s=of("server_lifetime", 3600.0),
        server_login_retry_s=of("server_login_retry", 15.0),
        # 0 in 1.21 to 1.23, and no such setting before.
        max_prepared_statements=parsed(
            settings, "max_prepared_statements", _amount, default(200.0, "PgBouncer 1.24")
        ),
        databases=databases,
        hosts=hosts,
        users_file=settings["auth_file"][0] if "auth_file" in settings else "",
    )


def database_of(name: str, text: str, place: Place) -> PoolerDatabase:
    """A line of ``[databases]``. Its password is passed over."""
    said = {
        key: (value[1:-1].replace("''", "'") if value.startswith("'") else value, place)
        for key, value in _WORD.findall(text)
    }
    return PoolerDatabase(
        name=name.strip('"'),
        place=place,
        host=parsed(said, "host", str),
        pool_size=parsed(said, "pool_size", _limit),
        user=parsed(said, "user", str),
        max_connections=parsed(said, "max_db_connections", _limit),
        reserve_pool_size=parsed(
            said, "reserve_pool_size", _amount, parsed(said, "reserve_pool", _amount)
        ),
    )


def mode_of(settings: Settings, databases: Mapping[str, tuple[str, Place]]) -> Settings:
    """The settings with the ``pool_mode`` that every line of ``[databases]`` has of its own."""
    own = [
        (found[1], place)
        for text, place in databases.values()
        if (found := re.search(r"\bpool_mode\s*=\s*(\w+)", text)) is not None
    ]
    if own and len(own) == len(databases) and len({text for text, _ in own}) == 1:
        text, place = own[0]
        return {**settings, "pool_mode": (text, Place(place.file, place.line, "pool_mode"))}
    return settings


def _amount(text: str) -> float:
    value = number(text)
    if value < 0:
        raise ValueError(text)
    return value


def _limit(text: str) -> float:
    value = zero_is_unlimited(text)
    if value < 0:
        raise ValueError(text)
    return value


def _mode(text: str) -> str:
    if text.lower() not in MODES:
        raise ValueError(text)
    return text.lower()


def _is_user_list(file: SourceFile) -> bool:
    lines = [line for line in file.lines if line.strip() and line.lstrip()[0] not in ";#"]
    return bool(lines) and all(_USER.match(line) for line in lines)


def _users(file: SourceFile) -> int:
    return sum(1 for line in file.lines if _USER.match(line))
