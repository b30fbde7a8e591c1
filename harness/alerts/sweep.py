"""A rule under other thresholds and waits: how early it pages, and how often for nothing. Pure.

A cell of the grid is a threshold and a ``for``. On each recording it is judged like a rule: what
counts is the lead before the first harm and the pages on benign controls. A cell dominates another
when it is at least as good in recall, false pages and median lead, and better in one of them; what
nothing dominates is the Pareto front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from harness.alerts.rules import duration
from harness.alerts.score import Subject
from harness.alerts.states import FIRING, states
from harness.alerts.timelines import Answer


@dataclass(frozen=True, slots=True)
class Cell:
    """One threshold and wait on every recording.

    ``lead_s``: the median over the incidents it caught; None where it caught none. ``least_lead_s``
    and ``most_lead_s`` span them. ``false_pages``: benign recordings on which it fired, of
    ``benign``; ``caught`` of ``incidents``.
    """

    threshold: float
    for_s: float
    caught: int
    incidents: int
    false_pages: int
    benign: int
    lead_s: float | None
    least_lead_s: float | None
    most_lead_s: float | None
    on_front: bool = False

    @property
    def recall(self) -> float | None:
        return self.caught / self.incidents if self.incidents else None


@dataclass(frozen=True)
class Grid:
    """All cells, thresholds outer, waits inner."""

    alert: str
    operator: str
    left: str
    cells: tuple[Cell, ...]

    @property
    def thresholds(self) -> tuple[float, ...]:
        return tuple(dict.fromkeys(cell.threshold for cell in self.cells))

    @property
    def waits_s(self) -> tuple[float, ...]:
        return tuple(dict.fromkeys(cell.for_s for cell in self.cells))

    @property
    def front(self) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells if cell.on_front)


def first_firings(
    answer: Answer, waits_s: Sequence[float], keep_firing_for_s: float
) -> list[float | None]:
    """For each wait the first instant at which any alert of the answer fires."""
    if not len(answer.there) or not answer.there.any():
        return [None] * len(waits_s)
    found = []
    for wait_s in waits_s:
        rows = states(
            answer.there, answer.instants_s, for_s=wait_s, keep_firing_for_s=keep_firing_for_s
        )
        firing = (rows == FIRING).any(axis=0)
        found.append(float(answer.instants_s[int(np.argmax(firing))]) if firing.any() else None)
    return found


def judge_grid(
    thresholds: Sequence[float],
    waits_s: Sequence[float],
    fired: Sequence[Sequence[Sequence[float | None]]],
    subjects: Sequence[Subject],
    *,
    group_wait_s: float,
) -> tuple[Cell, ...]:
    """Cells from ``fired[threshold][recording][wait]``, the instants of the first firing."""
    cells = []
    for row, threshold in enumerate(thresholds):
        for column, for_s in enumerate(waits_s):
            leads, caught, false_pages = [], 0, 0
            for number, subject in enumerate(subjects):
                at_s = fired[row][number][column]
                if at_s is None:
                    continue
                if subject.benign:
                    false_pages += 1
                    continue
                over_s = max(subject.outage_end_s, subject.recovered_s or 0.0) + subject.sight_s
                if at_s <= over_s:
                    caught += 1
                    if subject.harm_s is not None:
                        # Hours of lead-in are no lead: the incident begins at 0.
                        leads.append(subject.harm_s - max(at_s, 0.0) - group_wait_s)
            cells.append(
                Cell(
                    threshold,
                    for_s,
                    caught,
                    sum(not subject.benign for subject in subjects),
                    false_pages,
                    sum(subject.benign for subject in subjects),
                    round(median(leads), 3) if leads else None,
                    round(min(leads), 3) if leads else None,
                    round(max(leads), 3) if leads else None,
                )
            )
    return _with_front(cells)


def _with_front(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    points: NDArray[np.float64] = np.array(
        [
            (cell.caught, -cell.false_pages, -np.inf if cell.lead_s is None else cell.lead_s)
            for cell in cells
        ],
        dtype=float,
    ).reshape(-1, 3)
    found = []
    for cell, point in zip(cells, points, strict=True):
        better = np.all(points >= point, axis=1) & np.any(points > point, axis=1)
        found.append(_marked(cell, bool(not better.any() and cell.caught)))
    return tuple(found)


def _marked(cell: Cell, on_front: bool) -> Cell:
    return Cell(
        cell.threshold, cell.for_s, cell.caught, cell.incidents, cell.false_pages, cell.benign,
        cell.lead_s, cell.least_lead_s, cell.most_lead_s, on_front,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """The cell that would be chosen, and why."""

    cell: Cell
    why: tuple[str, ...]


def recommend(grid: Grid) -> Choice | None:
    """The cell to choose; None when no cell catches any incident.

    First no false page, or as few as there can be with anything caught; then the most incidents
    caught; then the longest median lead; among equals the longest wait and the least sensitive
    threshold, because what the recordings do not tell apart the next surge might.
    """
    catching = [cell for cell in grid.cells if cell.caught]
    if not catching:
        return None
    fewest = min(cell.false_pages for cell in catching)
    quiet = [cell for cell in catching if cell.false_pages == fewest]
    most = max(cell.caught for cell in quiet)
    sharp = [cell for cell in quiet if cell.caught == most]
    lead = max((cell.lead_s for cell in sharp if cell.lead_s is not None), default=None)
    early = [cell for cell in sharp if cell.lead_s == lead]
    upward = grid.operator in (">", ">=")
    best = max(early, key=lambda cell: (cell.for_s, cell.threshold if upward else -cell.threshold))
    of_all = max(cell.caught for cell in catching)
    why = [
        f"{best.caught} of {best.incidents} incident recordings caught, "
        f"{best.false_pages} of {best.benign} benign ones paged for",
        f"median lead {_seconds(best.lead_s)} "
        f"({_seconds(best.least_lead_s)} to {_seconds(best.most_lead_s)}), notification included",
    ]
    if of_all > best.caught:
        why.append(f"{of_all} could be caught by cells that page for more benign recordings")
    if len(early) > 1:
        why.append(
            f"{len(early)} cells are equal on these recordings; of them it waits longest and "
            "asks most"
        )
    return Choice(best, tuple(why))


def _seconds(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{'-' if value < 0 else ''}{duration(abs(value))}"
