"""Database URLs, wherever one is written: what they connect to, and what they ask for.

Nothing here repeats a password: not in a value, a representation or an error. Host, port,
database and user are no secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from urllib.parse import parse_qsl, quote

from harness.audit.parts import Target
from harness.audit.reading import read_at
from harness.audit.values import Place, Value, Variable

T = TypeVar("T")
Pieces = Sequence[str | Value[str]]
"""A text of which some pieces are filled in: an f-string, a text with ``${NAME}``."""

PORT = 5432
LIBPQ = "PostgreSQL's clients"
POSTGRESQL = re.compile(
    r"\s*(?:jdbc:)?(?:postgres(?:ql)?|pgsql|postgis)(?:\+\w+)?://", re.IGNORECASE
)
_KEYWORDS = re.compile(r"\s*[a-z_]+\s*=\s*\S")
_FILLED_IN = re.compile(
    r"\$\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\$\(\w+\)|\$\w+|\{\{.*?\}\}|<%.*?%>|%\(\w+\)s"
)
_NAME = re.compile(r"[\w.$-]+")
_HOST = re.compile(r"[\w.-]+|[0-9a-fA-F:.]+(?:%\w+)?|/[\w./-]+")
_SECRETIVE = re.compile(r"pass|pwd|secret|token|key|user|cert|credential", re.IGNORECASE)
_MARK = "78010{:04d}"
"""What stands for a piece that is filled in: digits, which are a port as well as a name."""
_MARKED = re.compile(r"78010(\d{4})")


def is_postgresql(text: str) -> bool:
    """Whether it is a URL of PostgreSQL (JDBC's too), or of one of its SQLAlchemy drivers."""
    return POSTGRESQL.match(text) is not None


def driver_of(text: str) -> str:
    """``asyncpg`` of ``postgresql+asyncpg://``; "" where none is named."""
    scheme, found, _ = text.partition("://")
    return scheme.partition("+")[2].strip() if found else ""


def without_password(text: str) -> str | None:
    """A URL of PostgreSQL without its password; None for any other text."""
    if not is_postgresql(text):
        return None
    found = target_of(text, Place(""))
    if found.host.known is None or found.port.known is None:
        return None
    user = f"{found.user.known}@" if found.user.known else ""
    host = f"[{found.host.known}]" if ":" in found.host.known else found.host.known
    said = {key: value for key, value in parameters_of(text).items() if key != "host"}
    asked = "&".join(f"{key}={quote(value)}" for key, value in said.items())
    if host.startswith("/"):
        host, asked = "", f"host={host}&{asked}".rstrip("&")
    scheme = text.strip().partition("://")[0]
    database = found.database.known or ""
    return f"{scheme}://{user}{host}:{found.port.known}/{database}{'?' if asked else ''}{asked}"


def target_of(text: str, place: Place) -> Target:
    """Where a URL (or libpq's ``host=db port=5432``) leads; its placeholders stay variables.

    What it does not say is unknown, but for the port.
    """
    return target_of_pieces(_pieces(text, place), place)


def target_of_pieces(pieces: Pieces, place: Place) -> Target:
    """The same for a text of which some pieces are values of their own."""
    marked, filled = _marked(pieces)
    parts = _parts(marked)
    if parts is None:
        unknown: Value[str] = Value.unknown("the database URL is not understood", place)
        return Target(host=unknown, port=unknown.map(int), database=unknown, user=unknown)

    def part(key: str, pattern: re.Pattern[str]) -> Value[str]:
        text = parts.get(key, "")
        if not text:
            return Value.unknown(f"the database URL names no {key}", place)
        if (whole := _MARKED.fullmatch(text)) is not None:
            return filled[int(whole[1])]
        if _MARKED.search(text):
            return Value.unknown(f"the {key} of the database URL is filled in elsewhere", place)
        if pattern.fullmatch(text) is None:
            return Value.unknown(f"the {key} of the database URL is not understood", place)
        return Value.at(text, place)

    port = part("port", re.compile(r"\d{1,5}"))
    return Target(
        host=part("host", _HOST),
        port=_as_port(port) if parts.get("port") else Value.default(PORT, LIBPQ, place),
        database=part("database", _NAME),
        user=part("user", _NAME),
    )


def target_from(url: Value[str], place: Place) -> Target:
    """Where a URL leads that is known, or decided by a variable."""
    if url.known is not None:
        known = target_of(url.known, url.place or place)
    else:
        known = Target(
            host=Value.unknown(url.why, url.place or place),
            port=Value.unknown(url.why, url.place or place),
            database=Value.unknown(url.why, url.place or place),
            user=Value.unknown(url.why, url.place or place),
        )
    if (variable := url.variable) is None:
        return known

    def decided(value: Value[T], part: Callable[[Target], Value[T]]) -> Value[T]:
        def read(text: str) -> T:
            found = part(target_of(variable.read(text), place)).known
            if found is None:
                raise ValueError
            return found

        decides = Variable(
            variable.name,
            read,
            attribute=variable.attribute,
            partial=True,
            aliases=variable.aliases,
            owner=variable.owner,
        )
        return value.decided_by(decides)

    return Target(
        host=decided(known.host, lambda target: target.host),
        port=decided(known.port, lambda target: target.port),
        database=decided(known.database, lambda target: target.database),
        user=decided(known.user, lambda target: target.user),
    )


def parameters_of(text: str) -> dict[str, str]:
    """What follows a URL's ``?`` (or libpq's other keywords), without what may be a secret.

    Values with placeholders in them are left as they are written.
    """
    if is_postgresql(text):
        query = text.partition("?")[2].partition("#")[0]
        found: Iterable[tuple[str, str]] = parse_qsl(query) if "@" not in query else ()
    elif _KEYWORDS.match(text):
        found = (_keywords(text) or {}).items()
    else:
        return {}
    return {key: value for key, value in found if not _SECRETIVE.search(key)}


def parameter_of(
    url: Value[str], key: str, read: Callable[[str], T], default: Value[T], place: Place
) -> Value[T]:
    """A URL's parameter, else ``default``; what a variable's URL says holds over both."""
    value = default
    if url.known is not None and key in (said := parameters_of(url.known)):
        value = read_at(said[key], url.place or place, key, read)
    if (variable := url.variable) is None:
        return value
    otherwise = value.known

    def of_url(text: str) -> T:
        said = parameters_of(variable.read(text))
        if key in said:
            return read(said[key])
        if otherwise is None:
            raise ValueError
        return otherwise

    decides = Variable(
        variable.name,
        of_url,
        attribute=variable.attribute,
        partial=True,
        aliases=variable.aliases,
        owner=variable.owner,
    )
    return value.decided_by(decides)


def _as_port(text: Value[str]) -> Value[int]:
    if text.known is not None and not text.known.isdecimal():
        return Value.unknown("the port of the database URL is not understood", text.place)
    return text.map(int)


def _pieces(text: str, place: Place) -> Pieces:
    pieces: list[str | Value[str]] = []
    end = 0
    for found in _FILLED_IN.finditer(text):
        pieces += [text[end : found.start()], read_at(found[0], place, "the database URL", str)]
        end = found.end()
    return (*pieces, text[end:])


def _marked(pieces: Pieces) -> tuple[str, list[Value[str]]]:
    filled: list[Value[str]] = []
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
        else:
            text += _MARK.format(len(filled))
            filled.append(piece)
    return text, filled


def _parts(text: str) -> dict[str, str] | None:
    """Host, port, database and user of a marked text; None where it is not understood."""
    if not POSTGRESQL.match(text):
        return _keywords(text) if _KEYWORDS.match(text) else None
    from sqlalchemy.engine import make_url  # takes a while, and most audits need none
    from sqlalchemy.exc import ArgumentError

    text = text.strip()
    text = text[len("jdbc:") :] if text[:5].lower() == "jdbc:" else text
    # A password that was not quoted would end up in the host.
    if text.partition("?")[0].count("@") > 1 or "@" in text.partition("?")[2]:
        return None
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        return None
    query = {key: value for key, value in url.query.items() if isinstance(value, str)}
    parts = {
        "host": url.host or query.get("host", ""),
        "port": str(url.port or query.get("port", "")),
        "database": url.database or "",
        "user": url.username or query.get("user", ""),
    }
    return parts if "," not in parts["host"] else None


def _keywords(text: str) -> dict[str, str] | None:
    """libpq's keywords and values, by libpq itself."""
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    try:
        said = conninfo_to_dict(text)
    except (Error, ValueError, UnicodeError):
        return None
    found = {key: str(value) for key, value in said.items() if value is not None}
    return {**found, "database": found.get("dbname", "")}
