"""Branches of code: where a setting decides which of several pools is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.audit.values import Value


@dataclass(frozen=True, slots=True)
class Branch:
    """Ways of one choice that lead to a pool: an arm of an ``if``, a ``case``, a dict's entry.

    Two pools of which one choice is made differently exclude each other.
    """

    choice: str
    """What tells choices apart: where it stands."""

    ways: frozenset[int]
    chosen: Value[int]
    """The way that the configuration goes."""

    @property
    def is_taken(self) -> bool | None:
        """Whether the configuration goes one of these ways; None where that is not known."""
        return None if self.chosen.known is None else self.chosen.known in self.ways


def common(found: Sequence[tuple[Branch, ...]]) -> tuple[Branch, ...]:
    """What is sure of something that is reached in several places: choices that all have."""
    together: list[Branch] = []
    for branches in zip(*found, strict=False):
        if len({each.choice for each in branches}) > 1:
            break
        ways = frozenset[int]().union(*(each.ways for each in branches))
        together.append(replace(branches[0], ways=ways))
    return tuple(together)
