"""The schedule: intended instants compiled from rates, and who arrives at each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from harness.errors import UsageError
from harness.recording import ARRIVALS

ArrivalProcess = Literal["poisson", "uniform"]
Floats: TypeAlias = npt.NDArray[np.float64]

MAX_ARRIVALS = 2_000_000
MAX_LENGTH_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class RateSegment:
    """From ``begin_s`` to ``end_s`` (replay time) the rate goes linearly from one value to another.

    ``phase`` is the name that its arrivals carry. Rates are in arrivals per second of replay time.
    """

    phase: str
    begin_s: float
    end_s: float
    rate_begin_per_s: float
    rate_end_per_s: float

    @property
    def expected(self) -> float:
        """The mean number of arrivals in it: the area under the rate."""
        mean_per_s = (self.rate_begin_per_s + self.rate_end_per_s) / 2
        return mean_per_s * (self.end_s - self.begin_s)


def expected_arrivals(segments: Sequence[RateSegment]) -> float:
    """Mean number of arrivals of all segments together."""
    return math.fsum(segment.expected for segment in segments)


def compile_arrivals(
    segments: Sequence[RateSegment],
    *,
    seed: int,
    users: int,
    arrivals: ArrivalProcess = "poisson",
) -> pl.DataFrame:
    """The schedule of a load: ``arrival`` u32 from 0, ``user`` u32, ``intended_s`` f64, ``phase``.

    Sorted by ``intended_s``; the same arguments always give the same frame. Users are drawn
    without replacement (a permutation of 0 to ``users`` - 1, a new one whenever it is used up),
    from a random stream of their own, so that another population leaves the instants alone.

    ``poisson``: an inhomogeneous Poisson process, exact by inversion of the cumulative rate. With
    r(t) the rate in 1/s, Λ(t) = ∫₀ᵗ r(u) du its expected count up to t and E₁, E₂, … independent
    unit-rate exponential gaps, the k-th arrival comes at

        t_k = Λ⁻¹(E₁ + … + E_k)    as long as E₁ + … + E_k < Λ(end).

    Source: E. Çinlar, Introduction to Stochastic Processes, 1975, ch. 4.7; P. A. W. Lewis and
    G. S. Shedler, Naval Research Logistics Quarterly 26 (1979), 403-413, who compare it with their
    thinning. Random numbers: NumPy's PCG64.

    ``uniform``: the same with S_k = 0, 1, 2, … in place of the sums: at a constant rate exactly
    1/r apart, the first at once, as ``httperf --rate`` does.

    Raises UsageError for segments that overlap or are out of order, for rates or times that are
    negative or not finite, and beyond 2,000,000 arrivals or 24 hours.
    """
    _refuse_bad_segments(segments, users)
    instants_stream, users_stream = np.random.SeedSequence(seed).spawn(2)
    total = expected_arrivals(segments)
    if arrivals == "uniform":
        counts = np.arange(math.ceil(total - 1e-9), dtype=np.float64)
    else:
        counts = _poisson_counts(total, np.random.Generator(np.random.PCG64(instants_stream)))
    _refuse_too_many(len(counts))
    instants, index = _invert(segments, counts)
    chosen = _draw_users(len(counts), users, np.random.Generator(np.random.PCG64(users_stream)))
    phases = pl.Series([segment.phase for segment in segments], dtype=pl.String)
    return pl.DataFrame(
        {
            "arrival": np.arange(len(counts), dtype=np.uint32),
            "user": chosen,
            "intended_s": instants,
            "phase": phases.gather(index),
        },
        schema=ARRIVALS,
    )


def _poisson_counts(total: float, random: np.random.Generator) -> Floats:
    """Partial sums of unit-rate exponential gaps, below ``total``."""
    pieces: list[Floats] = []
    reached = 0.0
    # Six standard deviations above the mean: a second round is all but never needed.
    size = int(total + 6 * math.sqrt(total) + 16)
    while reached < total:
        sums = reached + np.cumsum(random.standard_exponential(size))
        reached = float(sums[-1])
        pieces.append(sums)
    counts = np.concatenate(pieces) if pieces else np.empty(0)
    return counts[counts < total]


def _invert(
    segments: Sequence[RateSegment], counts: Floats
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Λ⁻¹ of ``counts``, and the index of the segment in which each one lies.

    Within a segment that begins at b with the rate r and changes it by a per second, the count
    y = r·τ + a·τ²/2 is reached after τ = 2y / (r + √(r² + 2ay)): the root that stays finite for
    a → 0 and loses no digits for small y.
    """
    begin = np.array([segment.begin_s for segment in segments])
    end = np.array([segment.end_s for segment in segments])
    rate = np.array([segment.rate_begin_per_s for segment in segments])
    change = (np.array([segment.rate_end_per_s for segment in segments]) - rate) / (end - begin)
    # Sums as in expected_arrivals, so that a count below the total always finds its segment.
    reached = [math.fsum(s.expected for s in segments[:i]) for i in range(len(segments))]
    expected = np.array([segment.expected for segment in segments])
    filled = np.flatnonzero(expected > 0)
    place = np.searchsorted(np.array(reached)[filled], counts, side="right") - 1
    index = filled[place] if len(filled) else np.empty(0, dtype=np.int64)
    y = np.clip(counts - np.array(reached)[index], 0.0, expected[index])
    root = np.sqrt(np.maximum(rate[index] ** 2 + 2 * change[index] * y, 0.0))
    denominator = rate[index] + root
    tau = np.divide(2 * y, denominator, out=np.zeros_like(y), where=denominator > 0)
    instants = np.minimum(begin[index] + tau, np.nextafter(end[index], -np.inf))
    return np.maximum.accumulate(instants) if len(instants) else instants, index


def _draw_users(count: int, users: int, random: np.random.Generator) -> npt.NDArray[np.uint32]:
    rounds = math.ceil(count / users)
    drawn = [random.permutation(users) for _ in range(rounds)]
    chosen = np.concatenate(drawn)[:count] if drawn else np.empty(0)
    return chosen.astype(np.uint32)


def _refuse_bad_segments(segments: Sequence[RateSegment], users: int) -> None:
    problems = []
    if users < 1:
        problems.append(f"{users} users: at least one is needed")
    before_s = 0.0
    for number, segment in enumerate(segments, start=1):
        name = f"segment {number} ({segment.phase})"
        times = (segment.begin_s, segment.end_s)
        rates = (segment.rate_begin_per_s, segment.rate_end_per_s)
        if not all(map(math.isfinite, times + rates)):
            problems.append(f"{name}: times and rates must be finite numbers")
            continue
        if segment.begin_s < before_s:
            problems.append(f"{name}: begins at {segment.begin_s:g} s, before {before_s:g} s")
        if segment.end_s <= segment.begin_s:
            problems.append(f"{name}: ends at {segment.end_s:g} s, not after its beginning")
        if min(rates) < 0:
            problems.append(f"{name}: a rate below zero")
        before_s = max(before_s, segment.end_s)
    if problems:
        raise UsageError("the load cannot be scheduled: " + "; ".join(problems))
    if before_s > MAX_LENGTH_S:
        raise UsageError(
            f"the load lasts {before_s / 3600:.1f} h; more than 24 h is refused",
            remedy="Replay it in shortened time (without --full-length), or cut the incident.",
        )
    _refuse_too_many(expected_arrivals(segments))


def _refuse_too_many(count: float) -> None:
    if count > MAX_ARRIVALS:
        raise UsageError(
            f"the load has {count:,.0f} arrivals; more than {MAX_ARRIVALS:,} are refused",
            remedy="Lower the rates, or replay in shortened time (without --full-length).",
        )
