"""A psycopg_pool that loses connections."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from harness.audit.chain import Chain
from harness.audit.finding import Finding, Unknown
from harness.audit.parts import Package

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
    for package in chain.packages:
        if package.name == PACKAGE and (said := _unsound(package)):
            yield Finding(
                ID,
                "warning",
                package.place,
                f"{said}: before {SOUND}, a request that is cancelled while its connection is "
                "checked or returned takes it along, and the pool shrinks until it has none",
                f"Take psycopg-pool {SOUND} or newer.",
            )


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
