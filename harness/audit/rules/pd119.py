"""A psycopg_pool that loses connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.parts import Package
from harness.audit.paths import common, folder_of, is_within

ID = "PD119"
TITLE = "This psycopg_pool loses a connection with a request that is cancelled"

PACKAGE = "psycopg-pool"
SOUND = Version("3.2.8")
_LATER = (
    SOUND,
    *map(Version, ("3.2.9", "3.2.99", "3.3", "3.3.1", "3.3.3", "3.99", "4", "5", "99")),
)
"""Versions that stand for all sound ones: a specifier that keeps all of them out has none."""


def check(chain: Chain) -> Iterator[Finding | Unknown]:
    """psycopg-pool < 3.2.8, locked, or the most that is allowed.

    Sources: https://www.psycopg.org/psycopg3/docs/news_pool.html#psycopg-pool-3-2-8,
    https://github.com/psycopg/psycopg/issues/1123, https://github.com/psycopg/psycopg/issues/1208
    """
    users = _users(chain)
    for package in chain.packages:
        if package.name != PACKAGE or not (said := _unsound(package)):
            continue
        if not users:
            what = "a program that makes a psycopg_pool: none was seen"
            yield Unknown(ID, package.place, f"{what}, although {said}")
        elif id(package) in users:
            yield Finding(
                ID,
                "warning",
                package.place,
                f"{said}: before {SOUND}, a request that is cancelled while its connection is "
                "checked or returned takes it along, and the pool shrinks until it has none",
                f"Take psycopg-pool {SOUND} or newer.",
            )


def _users(chain: Chain) -> frozenset[int]:
    """The declarations, by identity, that are about a program which makes such a pool.

    Those of the folders around its code; of code that has none around it, the nearest.
    """
    declared = [each for each in chain.packages if each.name == PACKAGE]
    found: set[int] = set()
    for _, pool in chain.pools():
        if pool.implementation != "psycopg-pool":
            continue
        code = folder_of(pool.place.file)
        near = [each for each in declared if is_within(code, _home(each))]
        if not near:
            depth = max((common(code, each.place.file) for each in declared), default=0)
            near = [each for each in declared if common(code, each.place.file) == depth]
        found.update(map(id, near))
    return frozenset(found)


def _home(package: Package) -> str:
    """The folder of the program: ``requirements/base.txt`` is about the one above."""
    folder = folder_of(package.place.file)
    return folder_of(folder) if PurePath(folder).name == "requirements" else folder


def _unsound(package: Package) -> str:
    """What is locked or asked for, where it is too old; "" else."""
    try:
        if (locked := package.version.known) is not None:
            return f"psycopg-pool {locked} is locked" if Version(locked) < SOUND else ""
        allowed = SpecifierSet(package.specifier.known or "")
        named = [Version(each.version) for each in allowed if "*" not in each.version]
    except (InvalidVersion, InvalidSpecifier):
        return ""
    if any(allowed.contains(each, prereleases=True) for each in (*_LATER, *named) if each >= SOUND):
        return ""
    return f"no psycopg-pool from {SOUND} on is allowed ({allowed})"
