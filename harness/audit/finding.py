"""What a rule says: a harm that will come, or an input without which it cannot tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from harness.audit.values import Place, Value

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""By consequence, the gravest first: an outage, a longer or blinder one, a habit to think over."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One value in one line, replaced: ``old_text`` right behind the key of ``place``.

    It is for fixes that are safe, which take no capacity away and break nothing. ``old_text`` is
    looked for as a whole word, in any case; where it is not what stands there, nothing is done.
    """

    place: Place
    old_text: str
    new_text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A harm: what happens and why (``message``), what to do (``fix``), and where.

    ``edit`` does a part of ``fix`` that a machine may do, or all of it.
    """

    id: str
    severity: Severity
    place: Place
    message: str
    fix: str
    edit: Edit | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A rule that could not tell, and what it would need."""

    id: str
    place: Place | None
    needs: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that was not read, or not understood, and why."""

    file: str
    why: str
    line: int = 0


def needs(rule: str, what: str, value: Value[Any], place: Place) -> Unknown:
    """That ``rule`` lacks ``what``, for the value's own reason."""
    return Unknown(rule, value.place or place, f"{what}: {value.why}")
