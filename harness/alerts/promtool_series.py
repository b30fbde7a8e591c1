"""A series in the notation of promtool's unit tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

EXACT = 2.0**53
"""Whole numbers below this are added without rounding, as promtool adds steps."""

SHORTEST_RUN = 3
"""Values that are worth a run: two are as short spelt out."""


def series_values(values: NDArray[np.float64], present: NDArray[np.bool_]) -> str:
    """A series in promtool's notation: runs, ``_`` where it was absent, ``stale`` where it ended.

    Both arrays have the shape (scrapes,).
    """
    tokens: list[str] = []
    edges = np.flatnonzero(np.diff(present)) + 1
    for part in np.split(np.arange(len(present)), edges):
        if not len(part):
            continue
        if present[part[0]]:
            tokens += _tokens(values[part])
            continue
        absent = len(part)
        if part[0] > 0:
            tokens.append("stale")
            absent -= 1
        if absent and part[-1] + 1 < len(present):
            tokens.append("_" if absent == 1 else f"_x{absent}")
    return " ".join(tokens)


def _tokens(values: NDArray[np.float64]) -> Iterator[str]:
    """Values without a gap: runs of equal steps, else one by one."""
    count = len(values)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(values)
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    # promtool adds step to step: exact for whole numbers, and for no step at all.
    whole = (values == np.floor(values)) & (np.abs(values) < EXACT)
    steps = np.where(same, 0.0, np.where(whole[1:] & whole[:-1], steps, np.nan))
    begin = 0
    while begin < count:
        end = begin + 1
        if begin < count - 1 and not np.isnan(steps[begin]):
            others = np.flatnonzero(steps[begin:] != steps[begin])
            end = begin + 1 + (int(others[0]) if len(others) else count - 1 - begin)
        if end - begin >= SHORTEST_RUN:
            step = int(steps[begin])
            sign = "-" if step < 0 else "+"
            yield f"{_number(values[begin])}{sign}{abs(step)}x{end - begin - 1}"
            begin = end
        else:
            yield _number(values[begin])
            begin += 1


def _number(value: float) -> str:
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < EXACT:
        return str(int(value))
    return repr(float(value))
