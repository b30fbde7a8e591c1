"""Many series on one grid of scrapes: what rules are evaluated over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NAME = "__name__"

Labels = tuple[tuple[str, str], ...]
"""A series' labels, ``__name__`` among them, sorted by name."""


def labels_of(mapping: Mapping[str, str]) -> Labels:
    """A label set in its one order."""
    return tuple(sorted(mapping.items()))


@dataclass(frozen=True, slots=True)
class Grid:
    """The instants of scrapes: ``start_s + k * step_s`` for ``k`` in ``0 .. count - 1``."""

    start_s: float
    step_s: float
    count: int

    @property
    def end_s(self) -> float:
        """The last instant."""
        return self.start_s + (self.count - 1) * self.step_s

    @property
    def length_s(self) -> float:
        """Seconds between the first instant and the last."""
        return max(0.0, (self.count - 1) * self.step_s)

    def instants_s(self) -> NDArray[np.float64]:
        """Shape (count,)."""
        return self.start_s + np.arange(self.count, dtype=np.float64) * self.step_s


@dataclass(frozen=True)
class SeriesTable:
    """Series of one recording, as a scraper on ``grid`` would have stored them.

    ``values`` and ``present`` have the shape (series, grid.count). Where ``present`` is false the
    target did not show the series at that scrape, which a real Prometheus marks as stale. A NaN
    that is present is a sample like any other.
    """

    grid: Grid
    labels: tuple[Labels, ...]
    values: NDArray[np.float64]
    present: NDArray[np.bool_]

    def names(self) -> frozenset[str]:
        """The metrics there are."""
        return frozenset(dict(labels)[NAME] for labels in self.labels)

    def select(self, keep: NDArray[np.bool_]) -> SeriesTable:
        """The series for which ``keep`` holds; shape (series,)."""
        chosen = np.flatnonzero(keep)
        return SeriesTable(
            self.grid,
            tuple(self.labels[index] for index in chosen),
            self.values[chosen],
            self.present[chosen],
        )
