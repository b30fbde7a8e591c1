"""``pgbouncer.ini``, by the standard library's parser."""

from __future__ import annotations

import configparser
import math
import re

from harness.audit.chain import Pooler
from harness.audit.finding import Unread
from harness.audit.reading import Reading, number, parsed, zero_is_unlimited
from harness.audit.sources import SourceFile
from harness.audit.values import Place, Value

SECTION = "pgbouncer"


def recognises(file: SourceFile) -> bool:
    """By its section, whatever it is called."""
    return file.path.suffix in (".ini", ".conf", ".cfg") and f"[{SECTION}]" in file.text


def load(file: SourceFile) -> Reading:
    """The pooler, with PgBouncer's defaults for what is not said."""
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#", ";"))
    try:
        parser.read_string(file.text)
        items = dict(parser.items(SECTION))
    except configparser.Error as error:
        line = getattr(error, "lineno", None) or 0
        return Reading(unread=(Unread(file.name, "not an INI file", line),))
    lines = file.text.splitlines()
    settings = {
        key: (value or "", Place(file.name, _line(lines, key), key)) for key, value in items.items()
    }
    place = Place(file.name, next(n for n, text in enumerate(lines, 1) if f"[{SECTION}]" in text))

    def of(key: str, default: float, *, unlimited: bool = False) -> Value[float]:
        read = zero_is_unlimited if unlimited else number
        return parsed(settings, key, read, Value.default(default, "PgBouncer", place))

    pooler = Pooler(
        name=file.name,
        place=place,
        pool_mode=parsed(settings, "pool_mode", str, Value.default("session", "PgBouncer", place)),
        default_pool_size=of("default_pool_size", 20),
        reserve_pool_size=of("reserve_pool_size", 0),
        max_client_conn=of("max_client_conn", 100),
        max_db_connections=of("max_db_connections", math.inf, unlimited=True),
        query_wait_timeout_s=of("query_wait_timeout", 120, unlimited=True),
    )
    return Reading(poolers=(pooler,))


def _line(lines: list[str], key: str) -> int:
    """The last line that sets ``key``: the one that holds."""
    pattern = re.compile(rf"\s*{re.escape(key)}\s*[=:]", re.IGNORECASE)
    return max((n for n, text in enumerate(lines, 1) if pattern.match(text)), default=0)
