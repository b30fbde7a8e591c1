"""SQL that configures a server, its roles and databases; by sqlparse's scanner.

``ALTER SYSTEM SET``, ``ALTER ROLE … SET``, ``ALTER DATABASE … SET``, ``CREATE ROLE`` with its
``CONNECTION LIMIT``, and ``GRANT`` of roles. Passwords are passed over.
Source: https://www.postgresql.org/docs/current/sql-commands.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from harness.audit.loaders.postgresql import CHAINED
from harness.audit.reading import Membership, Reading, RoleSetting, ServerFile
from harness.audit.sources import SourceFile
from harness.audit.values import Place

_OURS = re.compile(
    r"\balter\s+(?:system|role|user|database)\b|\bcreate\s+(?:role|user)\b"
    r"|\bgrant\s+[^;()]{0,200}\bpg_\w+",
    re.IGNORECASE,
)
_ROLES = ("role", "user", "group")
_DEPTH = 10_000
"""Words of one statement that are looked at: those that matter are short."""


def recognises(file: SourceFile) -> bool:
    """By its suffix and a statement of that kind."""
    return file.path.suffix == ".sql" and bool(_OURS.search(file.text))


def load(file: SourceFile) -> Reading:
    """What the statements say, each with its line."""
    system, settings, memberships = [], list[RoleSetting](), list[Membership]()
    for words in _statements(file):
        verb = [word.lower() for word, _ in words[:2]]
        if verb == ["alter", "system"]:
            system += [(each.key, each.text, each.place) for each in _set(words[2:], "", "")]
        elif verb == ["alter", "database"] and len(words) > 2:
            settings += _set(words[3:], "", words[2][0])
        elif len(verb) > 1 and verb[0] in ("alter", "create") and verb[1] in _ROLES:
            settings += _of_role(words)
            memberships += _made_member(words)
        elif verb[:1] == ["grant"]:
            memberships += _granted(words)
    place = Place(file.name)
    server = ServerFile(place=place, lines=tuple(system), part=True, last=True)
    return Reading(
        server_files=(server,) if system else (),
        role_settings=tuple(settings),
        memberships=tuple(memberships),
    )


_Words = list[tuple[str, Place]]


def _statements(file: SourceFile) -> Iterator[_Words]:
    """Words of each statement, without comments and quotes."""
    from sqlparse import tokens  # takes a while, and most audits need none
    from sqlparse.lexer import tokenize

    words: _Words = []
    line = 1
    for kind, text in tokenize(file.text):  # type: ignore[no-untyped-call]
        if kind in tokens.Punctuation and text == ";":
            yield words
            words = []
        elif text.strip() and kind not in tokens.Comment and len(words) < _DEPTH:
            words.append((_plain(text), Place(file.name, line)))
        line += text.count("\n")
    yield words


def _plain(text: str) -> str:
    """A name or a literal without its quotes; unquoted names are folded to lower case."""
    for quote in "'\"":
        if len(text) > 1 and text[0] == text[-1] == quote:
            return text[1:-1].replace(quote * 2, quote)
    dollar = re.fullmatch(r"(\$\w*\$)(.*)\1", text, re.DOTALL)
    return dollar[2] if dollar else text.lower()


def _of_role(words: _Words) -> Iterator[RoleSetting]:
    """``ALTER ROLE x [IN DATABASE d] SET …``, and ``CONNECTION LIMIT n``."""
    if len(words) < 4:
        return
    role = "" if words[2][0] == "all" else words[2][0]
    rest = words[3:]
    database = ""
    if [word for word, _ in rest[:2]] == ["in", "database"] and len(rest) > 2:
        database, rest = rest[2][0], rest[3:]
    yield from _set(rest, role, database)
    for (one, _), (other, _), (text, place) in zip(rest, rest[1:], rest[2:], strict=False):
        if (one, other) == ("connection", "limit") and text.isdecimal():
            key = "connection limit"
            yield RoleSetting(role, database, key, text, Place(place.file, place.line, key))


def _set(words: _Words, role: str, database: str) -> Iterator[RoleSetting]:
    """``SET key = value`` or ``SET key TO value``; ``DEFAULT`` says nothing."""
    if len(words) < 4 or words[0][0] != "set" or words[2][0] not in ("=", "to"):
        return
    key, place = words[1]
    # The scanner takes `5s` without quotes apart, and PostgreSQL refuses it.
    text = words[3][0]
    if text != "default" and key in CHAINED:
        yield RoleSetting(role, database, key, text, Place(place.file, place.line, key))


def _made_member(words: _Words) -> Iterator[Membership]:
    """``CREATE ROLE x SUPERUSER`` and ``IN ROLE a, b``."""
    member, place = words[2] if len(words) > 2 else ("", Place(""))
    plain = [word for word, _ in words[3:]]
    if "superuser" in plain:
        yield Membership("superuser", member, place)
    for number, pair in enumerate(pairwise(plain)):
        if pair in (("in", "role"), ("in", "group")):
            for role in _listed(plain[number + 2 :]):
                yield Membership(role, member, place)


def _granted(words: _Words) -> Iterator[Membership]:
    """``GRANT a, b TO x, y``; privileges on objects are no roles."""
    plain = [word for word, _ in words]
    if "on" in plain or "to" not in plain:
        return
    to = plain.index("to")
    for role in _listed(plain[1:to]):
        for member in _listed(plain[to + 1 :]):
            yield Membership(role, member, words[0][1])


def _listed(words: list[str]) -> Iterator[str]:
    """``a, b`` up to what is no list any more."""
    for number, word in enumerate(words):
        if number % 2 == 0:
            yield word
        elif word != ",":
            return
