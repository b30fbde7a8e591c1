"""PostgreSQL's settings: ``postgresql.conf``, what it includes, and a server's command line.

Source: https://www.postgresql.org/docs/current/config-setting.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import PurePath

from harness.audit.finding import Unread
from harness.audit.parts import Server
from harness.audit.reading import Reading, ServerFile, parsed
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Settings, Value

POSTGRES = "PostgreSQL"
AUTO = "postgresql.auto.conf"
"""What ``ALTER SYSTEM`` writes: it holds over every other file."""

INCLUDES = ("include", "include_dir", "include_if_exists")
CHAINED = frozenset(
    {
        "max_connections",
        "superuser_reserved_connections",
        "reserved_connections",
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "transaction_timeout",
    }
)
"""Settings that have a part in the chain."""

_TYPICAL = "listen_addresses|shared_buffers|work_mem|effective_cache_size|max_wal_size|wal_level"
_OF_POSTGRESQL = re.compile(
    rf"^[ \t]*(?:{_TYPICAL}|{'|'.join(sorted(CHAINED))})[ \t]*(?:=|[ \t]['\w])", re.MULTILINE
)
_OF_OTHERS = re.compile(r"^[ \t]*(?:\[|num_init_children\b|backend_hostname0\b)", re.MULTILINE)
"""Sections of an INI file, and Pgpool-II, which shares names of settings."""

_LINE = re.compile(
    r"\s*(?P<key>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)(?:\s*=\s*|\s+|(?='))"
    r"(?P<text>'(?:[^'\\]|\\.|'')*'|[^\s#'=]+)\s*(?:#.*)?"
)
"""A line, as PostgreSQL's own scanner takes it (``guc-file.l``)."""
_NAMED = re.compile(r"\s*(?P<key>\w+)\s*=?\s*(?P<text>.*)")
_TEMPLATE = re.compile(r"\{\{|\{%|<%|^\s*\$")

_NUMBER = re.compile(
    r"(0x[0-9a-f]+|[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*([a-z]*)", re.IGNORECASE | re.ASCII
)
_UNITS_MS = {"": 1.0, "us": 0.001, "ms": 1.0, "s": 1e3, "min": 60e3, "h": 3.6e6, "d": 86.4e6}
"""Units of a time, which are case-sensitive."""
_MOST = 2**31 - 1
_LONGEST = 100
"""Characters of a number: what is longer is none."""


def recognises(file: SourceFile) -> bool:
    """By its name, or by settings that only PostgreSQL has."""
    if file.path.name in ("postgresql.conf", AUTO):
        return True
    if file.path.suffix != ".conf" and not file.path.name.endswith((".conf.j2", ".conf.tmpl")):
        return False
    return bool(_OF_POSTGRESQL.search(file.text)) and not _OF_OTHERS.search(file.text)


def load(file: SourceFile) -> Reading:
    """The file's settings and what it includes; other files may add to it."""
    lines: list[tuple[str, str, Place]] = []
    unread: list[Unread] = []
    for number, line in enumerate(file.lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line) or _NAMED.match(line)
        key = found["key"].lower() if found else ""
        if found and (key in CHAINED or (key in INCLUDES and found.re is _LINE)):
            text = unquoted(found["text"]) if key in INCLUDES else found["text"]
            lines.append((key, text, Place(file.name, number, key)))
        elif found and found.re is _LINE:
            continue  # what has no part in the chain might be a secret
        elif not unread and not _TEMPLATE.search(line):
            unread.append(Unread(file.name, "a line is no setting of PostgreSQL's", number))
    said = ServerFile(
        place=Place(file.name),
        lines=tuple(lines),
        part=_is_part(file.path, {key for key, _, _ in lines}),
        last=file.path.name == AUTO,
    )
    return Reading(server_files=(said,), unread=tuple(unread))


def _is_part(path: PurePath, keys: set[str]) -> bool:
    """Whether the rest is said elsewhere: it is in a folder of parts, or says too little."""
    if path.name == AUTO or path.parent.name.endswith(".d"):
        return True
    return not path.name.startswith("postgres") and "max_connections" not in keys


def server_of(
    settings: Settings, *, name: str, place: Place, hosts: tuple[str, ...] = ()
) -> Server:
    """The server that runs with these settings; PostgreSQL's defaults for what is not said.

    Names of settings are case-insensitive; values may stand in quotes. With a ``config_file``,
    what is not said here is unknown: that file says it.
    Source: https://www.postgresql.org/docs/current/runtime-config-connection.html and
    https://www.postgresql.org/docs/current/runtime-config-client.html
    """
    said = {key.lower(): value for key, value in settings.items()}
    elsewhere = "config_file" in said

    def otherwise(key: str, value: float) -> Value[float]:
        if elsewhere:
            return Value.unknown(f"{key} is said in the server's config_file", place)
        return Value.default(value, POSTGRES, place)

    def count(key: str, default: float) -> Value[float]:
        return parsed(said, key, whole_number, otherwise(key, default))

    def timeout(key: str) -> Value[float]:
        return parsed(said, key, timeout_s, otherwise(key, math.inf))

    return Server(
        name=name,
        place=place,
        max_connections=count("max_connections", 100.0),
        superuser_reserved=count("superuser_reserved_connections", 3.0),
        reserved=count("reserved_connections", 0.0),
        idle_in_transaction_timeout_s=timeout("idle_in_transaction_session_timeout"),
        statement_timeout_s=timeout("statement_timeout"),
        lock_timeout_s=timeout("lock_timeout"),
        transaction_timeout_s=timeout("transaction_timeout"),  # PostgreSQL 17
        idle_session_timeout_s=timeout("idle_session_timeout"),
        hosts=hosts,
    )


def command_settings(words: Iterable[tuple[str, Place]]) -> Settings:
    """What a command line of ``postgres`` sets, or the ``options`` of a connection.

    ``-c key=value``, ``-ckey=value`` and ``--key=value``, with ``-`` for ``_``; ``-N`` is
    max_connections. The last one holds. Each has the place of the word that it stands in.
    Source: https://www.postgresql.org/docs/current/app-postgres.html
    """
    settings: dict[str, tuple[str, Place]] = {}
    option = ""
    for word, place in words:
        if not option and word in ("-c", "-N"):
            option = word
            continue
        if not option:
            length = 2
            option, word = word[:length], word[length:]
        if option == "-N":
            word = f"max_connections={word}"
        key, equals, text = word.partition("=")
        if option in ("-c", "--", "-N") and equals:
            key = key.strip().replace("-", "_").lower()
            settings[key] = text, Place(place.file, place.line, key)
        option = ""
    return settings


def whole_number(text: str) -> float:
    """PostgreSQL's spelling of an integer: a fraction is rounded; 0x and a leading 0 are bases."""
    value, unit = _parts(text)
    if unit:
        raise ValueError(text)
    return float(round(value))


def timeout_s(text: str) -> float:
    """PostgreSQL's spelling of a timeout whose unit is ms: seconds; 0 is no limit at all.

    What is below half a millisecond is rounded to 0, and is no limit either.
    """
    value, unit = _parts(text)
    if unit not in _UNITS_MS:
        raise ValueError(text)
    milliseconds = round(min(value * _UNITS_MS[unit], 2.0 * _MOST))
    if not 0 <= milliseconds <= _MOST:
        raise ValueError(text)
    return milliseconds / 1000 or math.inf


def unquoted(text: str) -> str:
    """The text within PostgreSQL's quotes, where it stands in them."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'").strip()
    return text


def _parts(text: str) -> tuple[float, str]:
    """A number within an integer's range, and its unit."""
    found = _NUMBER.fullmatch(unquoted(text)) if len(text) <= _LONGEST else None
    if found is None:
        raise ValueError(text)
    digits = found[1].lower()
    if digits.startswith("0x"):
        value = float(min(int(digits, 16), 2 * _MOST))
    elif re.fullmatch(r"0[0-7]+", digits):
        value = float(min(int(digits, 8), 2 * _MOST))
    else:
        value = float(digits)
    if not abs(value) <= _MOST:
        raise ValueError(text)
    return value, found[2]
