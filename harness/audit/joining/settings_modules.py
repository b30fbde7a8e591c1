"""Settings modules that change what they import: Django's ``production.py`` over its ``base.py``.

Which of several such modules runs, no file of theirs says. One for production is taken to; those
that are named after a rehearsal (``local``, ``test``) are not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from harness.audit.joining.calls import is_imported
from harness.audit.joining.join import REHEARSALS
from harness.audit.parts import Pool, Target
from harness.audit.reading import Amendment, Reading
from harness.audit.values import Value

EVERY_DATABASE = "Django: "
"""The name of a pool that stands for every database's, and how each one's begins."""

_LONGEST = 5
"""Modules that import each other."""

_OWN = frozenset({"threads", "is_async", "made_at_import", "disposed_after_fork"})
"""What no setting of a database says."""


def amended(readings: Sequence[Reading]) -> list[Reading]:
    """The same, each pool as the settings module that runs has it."""
    found = [each for reading in readings for each in reading.amendments]
    asked = [each for each in found if not _is_rehearsal(each)]
    return [_with(reading, asked, found) if reading.codes else reading for reading in readings]


def _is_rehearsal(amendment: Amendment) -> bool:
    name = amendment.own.rpartition("/")[2].lower()
    return bool((REHEARSALS | {"testing", "tests"}) & set(re.split(r"[_-]", name)))


def _with(reading: Reading, asked: Sequence[Amendment], known: Sequence[Amendment]) -> Reading:
    def of(pool: Pool) -> Pool:
        if not pool.name.startswith(EVERY_DATABASE):
            return pool
        about = [each for each in known if each.pool.name == pool.name]
        own = {each.own for each in about}  # with what they do to every database
        about += [e for e in known if e.pool.name == EVERY_DATABASE and e.own not in own]
        path = pool.place.file.removesuffix(".py")
        ways = [_leads_to(each, path, about) for each in about if each in asked]
        ways = [way for way in ways if way]
        return _changed(pool, ways) if ways else pool

    codes = tuple(
        replace(code, pools=tuple(of(pool) for pool in code.pools)) for code in reading.codes
    )
    return replace(reading, codes=codes)


def _leads_to(
    amendment: Amendment, path: str, known: Sequence[Amendment], depth: int = 0
) -> list[Amendment]:
    """It, and those of which it changes what they change of the module at ``path``, in order.

    Nothing where it does not lead there.
    """
    file = amendment.pool.place.file
    if is_imported(path.removesuffix("/__init__"), amendment.base, file):
        return [amendment]
    for each in known if depth < _LONGEST else ():
        if each.own != amendment.own and is_imported(each.own, amendment.base, file):
            before = _leads_to(each, path, known, depth + 1)
            if before:
                return [*before, amendment]
    return []


def _changed(pool: Pool, ways: Sequence[Sequence[Amendment]]) -> Pool:
    """As the last of each way leaves it; unknown where these do not agree."""
    last = {id(each) for way in ways for each in way[:-1]}
    found = []
    for way in (each for each in ways if id(each[-1]) not in last):
        one = pool
        for amendment in way:
            made = {each.name: _made_of(each.name, one, amendment) for each in fields(pool)}
            one = replace(one, **made)
        found.append(one)
    changes: dict[str, Any] = {}
    for each in fields(pool):
        values = [getattr(one, each.name) for one in found]
        said = {(value.known, value.origin) for value in values if isinstance(value, Value)}
        if len(said) > 1:
            why = "several settings modules set it, and no file says which of them runs"
            changes[each.name] = Value.unknown(why, pool.place)
    return replace(found[0], **changes)


def _made_of(name: str, pool: Pool, amendment: Amendment) -> Any:
    """What one module makes of a field."""
    base, new = getattr(pool, name), getattr(amendment.pool, name)
    if name in amendment.changed:
        return _redirected(base, new) if isinstance(new, Target) else new
    if amendment.hides_some and isinstance(base, Value) and name not in _OWN:
        return Value.unknown(f"{amendment.own}.py may change it", amendment.pool.place)
    return base


def _redirected(base: Target, new: Target) -> Target:
    said = {
        each.name: value
        for each in fields(new)
        if (value := getattr(new, each.name)).origin == "file" or value.variable is not None
    }
    return replace(base, **said)
