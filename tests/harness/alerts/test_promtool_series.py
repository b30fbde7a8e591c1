"""Series in promtool's notation: as it writes them, and whole when read again."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.alerts.promtool_series import series_values


def read_values(text: str) -> tuple[list[float], list[bool]]:
    """Values and presence as promtool's documentation reads the notation."""
    values: list[float] = []
    present: list[bool] = []
    for token in text.split():
        if token == "stale":
            values.append(0.0)
            present.append(False)
        elif token[0] == "_":
            count = int(token[2:] or 1)
            values += [0.0] * count
            present += [False] * count
        else:
            found = re.fullmatch(r"(.+?)(?:([+-]\d+)x(\d+))?", token)
            assert found is not None
            start, step, times = found.groups()
            value = float(start)
            for _ in range(int(times or 0) + 1):
                values.append(value)
                present.append(True)
                value += float(step or 0)
    return values, present


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([5, 5, 5, 5], "5+0x3"),
        ([0, 2, 4, 6, 6], "0+2x3 6"),
        ([9, 6, 3], "9-3x2"),
        ([0.1, 0.2, 0.3], "0.1 0.2 0.3"),
        ([0.1, 0.1, 0.1], "0.1+0x2"),
        ([None, None, None, 1, None, None, 2], "_x3 1 stale _ 2"),
        ([1, None, None], "1 stale"),
        ([np.nan, np.nan, np.nan, np.inf, -np.inf], "NaN+0x2 Inf -Inf"),
        ([1e-07, 2e300], "1e-07 2e+300"),
    ],
)
def test_series_as_promtool_writes_them(values: list[float | None], text: str) -> None:
    present = np.array([value is not None for value in values])
    numbers = np.array([0.0 if value is None else value for value in values])
    assert series_values(numbers, present) == text


VALUE = st.one_of(
    st.none(), st.integers(-3, 3).map(float), st.floats(width=64), st.sampled_from([0.1, 2.0**53])
)


@given(st.lists(st.one_of(VALUE.map(lambda v: [v]), VALUE.map(lambda v: [v] * 5)), max_size=12))
def test_series_survive_the_notation(stretches: list[list[float | None]]) -> None:
    values = [value for stretch in stretches for value in stretch]
    present: NDArray[np.bool_] = np.array([value is not None for value in values], dtype=bool)
    numbers = np.array([0.0 if value is None else value for value in values], dtype=float)
    read, there = read_values(series_values(numbers, present))
    seen = len(there)
    assert there == present[:seen].tolist()
    assert not present[seen:].any()
    np.testing.assert_array_equal(np.array(read)[present[:seen]], numbers[present])


# -- OpenMetrics -------------------------------------------------------------------------------
