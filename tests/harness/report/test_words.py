"""Values read as a person would say them."""

from __future__ import annotations

import pytest

from harness.report import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 ms"),
        (0.0996, "100 ms"),
        (0.9996, "1 s"),
        (14.46, "14.5 s"),
        (59.96, "1 min"),
        (75, "1 min 15 s"),
        (3599.7, "1 h"),
        (9000, "2 h 30 min"),
        (-75, "-1 min 15 s"),
    ],
)
def test_durations_have_at_most_two_units_and_never_sixty_of_one(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


def test_what_was_not_measured_is_said_and_is_not_a_zero() -> None:
    shown = {words.percent(None), words.seconds(None), words.rate(None)}
    assert shown == {words.NOT_MEASURED}
    assert words.percent(0.0) == "0.0 %"


@pytest.mark.parametrize(
    ("value", "said"), [(86.8, "86.8"), (100.4, "100"), (12969, "12\u202f969"), (5.0, "5")]
)
def test_numbers(value: float, said: str) -> None:
    assert words.number(value) == said
