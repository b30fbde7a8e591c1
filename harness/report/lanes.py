"""Labels beside points on a line, laid into lanes so that none covers another. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

CHARACTER_PX = 6.1
"""Mean width of a character of an 11 px sans-serif, with some to spare."""
MARK_PX = 12
SPACE_PX = 10


@dataclass(frozen=True)
class Label:
    """``text`` beside the point ``x_px``; ``of`` is whatever it stands for."""

    x_px: float
    text: str
    of: Any = None

    @property
    def width_px(self) -> float:
        return MARK_PX + len(self.text) * CHARACTER_PX


@dataclass(frozen=True)
class Placed:
    """A label in its lane, counted from 0 at the top; ``left`` of its point or right of it."""

    label: Label
    lane: int
    left: bool

    @property
    def span_px(self) -> tuple[float, float]:
        x_px, width_px = self.label.x_px, self.label.width_px
        return (x_px - width_px, x_px + MARK_PX) if self.left else (x_px - MARK_PX, x_px + width_px)


def pack(labels: Iterable[Label], width_px: float) -> list[Placed]:
    """Each label in the first lane where it fits, by position; left of its point at the right end.

    Equal points keep the order in which they were given.
    """
    placed: list[Placed] = []
    for label in sorted(labels, key=lambda label: label.x_px):
        left = label.x_px + label.width_px > width_px
        lane = 0
        while any(_collide(Placed(label, lane, left), other) for other in placed):
            lane += 1
        placed.append(Placed(label, lane, left))
    return placed


def _collide(one: Placed, other: Placed) -> bool:
    (begin, end), (other_begin, other_end) = one.span_px, other.span_px
    return one.lane == other.lane and begin < other_end + SPACE_PX and other_begin < end + SPACE_PX
