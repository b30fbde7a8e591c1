"""The compiled schedule: complete, in order, repeatable, and a Poisson process where it says so."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.load import RateSegment, compile_arrivals, expected_arrivals
from harness.recording import ARRIVALS

SURGE = [
    RateSegment("baseline", 0.0, 20.0, 40.0, 40.0),
    RateSegment("surge", 20.0, 25.0, 40.0, 200.0),
    RateSegment("surge", 25.0, 60.0, 200.0, 200.0),
    RateSegment("decline", 60.0, 70.0, 200.0, 0.0),
]

rates = st.one_of(st.just(0.0), st.floats(0.01, 60.0))


@st.composite
def segment_lists(draw: st.DrawFn) -> list[RateSegment]:
    segments = []
    at_s = draw(st.sampled_from([0.0, 3.5]))
    for number in range(draw(st.integers(0, 5))):
        at_s += draw(st.sampled_from([0.0, 0.0, 2.0]))
        end_s = at_s + draw(st.floats(0.1, 10.0))
        segments.append(RateSegment(f"phase-{number}", at_s, end_s, draw(rates), draw(rates)))
        at_s = end_s
    return segments


def cumulative(segments: list[RateSegment], at_s: float) -> float:
    """Λ(t), worked out the plain way."""
    total = 0.0
    for segment in segments:
        tau = min(max(at_s - segment.begin_s, 0.0), segment.end_s - segment.begin_s)
        change = (segment.rate_end_per_s - segment.rate_begin_per_s) / (
            segment.end_s - segment.begin_s
        )
        total += segment.rate_begin_per_s * tau + change * tau * tau / 2
    return total


@given(segment_lists(), st.integers(0, 2**32), st.sampled_from(["poisson", "uniform"]))
@settings(max_examples=60, deadline=None)
def test_every_arrival_lies_in_its_phase_and_in_order(
    segments: list[RateSegment], seed: int, process: str
) -> None:
    """Sorted, numbered without gaps, and never outside the segment whose phase it carries."""
    frame = compile_arrivals(segments, seed=seed, users=50, arrivals=process)  # type: ignore[arg-type]
    assert frame.schema == ARRIVALS
    assert frame["arrival"].to_list() == list(range(frame.height))
    assert frame["intended_s"].is_sorted()
    bounds = {segment.phase: (segment.begin_s, segment.end_s) for segment in segments}
    for phase, intended_s in frame.select("phase", "intended_s").iter_rows():
        begin_s, end_s = bounds[phase]
        assert begin_s <= intended_s < end_s


@given(segment_lists(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_uniform_arrivals_are_one_expected_arrival_apart(
    segments: list[RateSegment], seed: int
) -> None:
    """Λ(t_k) = k, for each k below the total: the inverse inverts."""
    frame = compile_arrivals(segments, seed=seed, users=9, arrivals="uniform")
    assert frame.height == math.ceil(expected_arrivals(segments) - 1e-9)
    for number, intended_s in enumerate(frame["intended_s"]):
        assert cumulative(segments, intended_s) == pytest.approx(number, abs=1e-6)


@given(segment_lists(), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_the_same_seed_gives_the_same_frame(segments: list[RateSegment], seed: int) -> None:
    """A run can be repeated from its seed."""
    first, second = (compile_arrivals(segments, seed=seed, users=50) for _ in range(2))
    assert first.equals(second)


def test_another_seed_gives_other_arrivals() -> None:
    """Instants and users both depend on the seed."""
    one, two = (compile_arrivals(SURGE, seed=seed, users=50_000) for seed in (1, 2))
    assert not one["intended_s"].head(100).equals(two["intended_s"].head(100))
    assert not one["user"].head(100).equals(two["user"].head(100))


def test_the_population_leaves_the_instants_alone() -> None:
    """So that runs with more users can be compared with runs with fewer."""
    few, many = (compile_arrivals(SURGE, seed=5, users=users) for users in (10, 10_000))
    assert few["intended_s"].equals(many["intended_s"])


def test_gaps_in_expected_count_are_unit_exponentials() -> None:
    """Time-rescaling: Λ(t_k) - Λ(t_k-1) of a Poisson process is Exp(1) (Kolmogorov-Smirnov)."""
    segments = [
        RateSegment("up", 0.0, 100.0, 10.0, 400.0),
        RateSegment("down", 100.0, 150.0, 400.0, 0.0),
    ]
    frame = compile_arrivals(segments, seed=11, users=1000)
    reached = np.array([cumulative(segments, at_s) for at_s in frame["intended_s"]])
    gaps = np.sort(np.diff(reached, prepend=0.0))
    n = len(gaps)
    distance = np.max(np.abs(np.arange(1, n + 1) / n - (1 - np.exp(-gaps))))
    assert n == pytest.approx(expected_arrivals(segments), abs=4 * math.sqrt(n))
    assert distance < 1.63 / math.sqrt(n)  # the 1 % point


def test_counts_scatter_as_poisson_counts_do() -> None:
    """Over many seeds the mean and the variance of the count are both the expected count."""
    segments = [RateSegment("steady", 0.0, 10.0, 10.0, 10.0)]
    counts = [compile_arrivals(segments, seed=seed, users=10).height for seed in range(400)]
    assert np.mean(counts) == pytest.approx(100, abs=4 * 10 / math.sqrt(400))
    assert np.var(counts) == pytest.approx(100, rel=0.3)


def test_each_phase_has_its_rate() -> None:
    """The surge is where it was asked for."""
    frame = compile_arrivals(SURGE, seed=3, users=100)
    counts = dict(frame.group_by("phase").len().iter_rows())
    for phase, expected in (("baseline", 800), ("surge", 7600), ("decline", 1000)):
        assert counts[phase] == pytest.approx(expected, abs=5 * math.sqrt(expected))


def test_no_user_comes_again_before_all_have_come() -> None:
    """Drawn without replacement, in a new order each time round."""
    frame = compile_arrivals(SURGE, seed=3, users=1000)
    users = frame["user"].to_list()
    assert sorted(users[:1000]) == sorted(users[1000:2000]) == list(range(1000))
    assert users[:1000] != users[1000:2000]


def test_no_load_is_an_empty_frame() -> None:
    """Without segments, and at rate zero."""
    for segments in ([], [RateSegment("idle", 0.0, 10.0, 0.0, 0.0)]):
        frame = compile_arrivals(segments, seed=1, users=1)
        assert frame.equals(pl.DataFrame(schema=ARRIVALS))


@pytest.mark.parametrize(
    ("segments", "users", "word"),
    [
        ([RateSegment("a", 0.0, 1001.0, 2000.0, 2000.0)], 10, "2,000,000"),
        ([RateSegment("a", 0.0, 86_401.0, 1.0, 1.0)], 10, "24 h"),
        ([RateSegment("a", 0.0, 2.0, 1.0, 1.0), RateSegment("b", 1.0, 3.0, 1.0, 1.0)], 10, "b"),
        ([RateSegment("a", 2.0, 2.0, 1.0, 1.0)], 10, "ends"),
        ([RateSegment("a", 0.0, 2.0, -1.0, 1.0)], 10, "below zero"),
        ([RateSegment("a", 0.0, math.inf, 1.0, 1.0)], 10, "finite"),
        ([RateSegment("a", -1.0, 2.0, 1.0, 1.0)], 10, "begins"),
        ([RateSegment("a", 0.0, 2.0, 1.0, 1.0)], 0, "users"),
    ],
)
def test_impossible_loads_are_refused(segments: list[RateSegment], users: int, word: str) -> None:
    """Before anything is drawn, with the number that is wrong."""
    with pytest.raises(UsageError, match=word):
        compile_arrivals(segments, seed=1, users=users)
