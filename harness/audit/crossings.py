"""What the code of one file has to do with another's, before the two are seen together.

Names are paths without a suffix (``app/db/pool``): what is imported may lack their beginning.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.audit.branches import Branch
from harness.audit.parts import Pool, Use
from harness.audit.values import Place


@dataclass(frozen=True, slots=True)
class Taking:
    """A function that takes a connection of its own, from ``pool``."""

    function: str
    pool: str


@dataclass(frozen=True, slots=True)
class Calling:
    """A function that is called while a connection of ``pool`` is held, and what that would be."""

    function: str
    pool: str
    use: Use


@dataclass(frozen=True, slots=True)
class Maker:
    """A function or class whose call makes the pool at this place."""

    function: str
    pool: Place


@dataclass(frozen=True, slots=True)
class Reference:
    """A function or class of another file that is called, and the branches that lead there.

    ``within`` is the function of the caller's file in which it is, "" for none. One that is no
    call may lead to some that are not seen.
    """

    function: str
    file: str
    within: str = ""
    branches: tuple[Branch, ...] = ()
    is_call: bool = True


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a settings module changes of a pool whose settings it imports.

    ``own`` and ``base`` are the modules' paths, as a file's. ``changed`` names the fields of
    ``pool`` that are set; with ``hides_some`` others may be, too.
    """

    own: str
    base: str
    pool: Pool
    changed: frozenset[str]
    hides_some: bool = False


@dataclass(frozen=True, slots=True)
class Supposed:
    """What code does wrong if ``name``, an annotation of another file, is a session."""

    name: str
    use: Use


@dataclass(frozen=True, slots=True)
class Reexport:
    """A name that a package has from elsewhere, by its path and by that of its origin."""

    name: str
    origin: str
    file: str
