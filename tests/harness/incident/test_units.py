"""Quantities keep their units, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.incident.units import (
    format_duration,
    format_rate,
    parse_duration_s,
    parse_rate_per_s,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("150ms", 0.15), ("30s", 30), ("2h30m", 9000), ("1d", 86400), ("0s", 0), ("1.5s", 1.5)],
)
def test_durations_are_read_with_their_units(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["30", "", "30 seconds", "-3s", "s", "1e3s", "3s4"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write 150ms, 30s"):
        parse_duration_s(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_a_formatted_duration_reads_back_to_the_millisecond(milliseconds: int) -> None:
    assert parse_duration_s(format_duration(milliseconds / 1000)) * 1000 == pytest.approx(
        milliseconds, rel=1e-12
    )


@pytest.mark.parametrize(
    ("text", "per_s"), [("80/s", 80), ("4800/min", 80), ("3600/h", 1), ("0.5/s", 0.5)]
)
def test_rates_are_read_with_their_units(text: str, per_s: float) -> None:
    assert parse_rate_per_s(text) == pytest.approx(per_s)
    assert parse_rate_per_s(format_rate(per_s)) == pytest.approx(per_s)


@pytest.mark.parametrize("text", ["80", "80/day", "/s", "-1/s", "80 per s"])
def test_a_rate_without_a_known_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write 80/s"):
        parse_rate_per_s(text)
