"""The schedule: intended instants compiled from rates, and who arrives at each, from where."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import accumulate
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from harness.errors import UsageError
from harness.recording import ARRIVALS

ArrivalProcess = Literal["poisson", "uniform", "jittered"]
Floats: TypeAlias = npt.NDArray[np.float64]

MAX_ARRIVALS = 2_000_000
MAX_LENGTH_S = 24 * 3600.0

ADDRESS_DRAW_BITS = 192
"""An IPv6 address has 128 bits; 64 more keep the draw uniform over any number of addresses."""


@dataclass(frozen=True, slots=True)
class RateSegment:
    """From ``begin_s`` to ``end_s`` (replay time) the rate goes linearly from one value to another.

    ``phase`` is the name that its arrivals carry. Rates are in arrivals per second of replay time.
    Of its arrivals ``wrong_password_ratio`` mistype; their addresses lie in ``networks``.
    """

    phase: str
    begin_s: float
    end_s: float
    rate_begin_per_s: float
    rate_end_per_s: float
    wrong_password_ratio: float = 0.0
    networks: tuple[str, ...] = ("10.16.0.0/16",)

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
    """The schedule of a load (`harness.recording.ARRIVALS`), ``arrival`` counted from 0.

    Sorted by ``intended_s``; the same arguments always give the same frame. Users are drawn
    without replacement (a permutation of 0 to ``users`` - 1, a new one whenever it is used up).
    Each arrival has its ``address`` uniformly from all addresses of its segment's networks
    together, and mistypes with its segment's ratio, independently of all others. Instants, users,
    addresses and wrong passwords each have a random stream of their own, so that a change to one
    leaves the others alone.

    ``poisson``: an inhomogeneous Poisson process, exact by inversion of the cumulative rate. With
    r(t) the rate in 1/s, Λ(t) = ∫₀ᵗ r(u) du its expected count up to t and E₁, E₂, … independent
    unit-rate exponential gaps, the k-th arrival comes at

        t_k = Λ⁻¹(E₁ + … + E_k)    as long as E₁ + … + E_k < Λ(end).

    Source: E. Çinlar, Introduction to Stochastic Processes, 1975, ch. 4.7; P. A. W. Lewis and
    G. S. Shedler, Naval Research Logistics Quarterly 26 (1979), 403-413, who compare it with their
    thinning. Random numbers: NumPy's PCG64.

    ``jittered``: the same with S_k = k + U_k, U_k uniform in [0, 1): one arrival somewhere in each
    slot of 1/r (stratified sampling). The instants are random, their number is not. It is meant for
    overload that lasts: the share that a queue loses over hours depends on the mean rate, and the
    seconds that stand for those hours in a replay must have that rate.

    ``uniform``: the same with S_k = 0, 1, 2, … in place of the sums: at a constant rate exactly
    1/r apart, the first at once, as ``httperf --rate`` does.

    Raises UsageError for segments that overlap or are out of order, for rates or times that are
    negative or not finite, ratios outside 0 to 1, networks that are none, and beyond 2,000,000
    arrivals or 24 hours.
    """
    _refuse_bad_segments(segments, users)
    # A child is known by its place: what is spawned later never changes what was spawned before.
    instants_random, users_random, addresses_random, passwords_random = (
        np.random.Generator(np.random.PCG64(stream))
        for stream in np.random.SeedSequence(seed).spawn(4)
    )
    total = expected_arrivals(segments)
    if arrivals == "uniform":
        counts = np.arange(math.ceil(total - 1e-9), dtype=np.float64)
    elif arrivals == "jittered":
        slots = math.ceil(total - 1e-9)
        counts = np.arange(slots) + instants_random.random(slots)
        counts = counts[counts < total]
    else:
        counts = _poisson_counts(total, instants_random)
    _refuse_too_many(len(counts))
    instants, index = _invert(segments, counts)
    phases = pl.Series([segment.phase for segment in segments], dtype=pl.String)
    return pl.DataFrame(
        {
            "arrival": np.arange(len(counts), dtype=np.uint32),
            "user": _draw_users(len(counts), users, users_random),
            "intended_s": instants,
            "phase": phases.gather(index),
            "address": _draw_addresses(segments, index, addresses_random),
            "wrong_password": _draw_wrong_passwords(segments, index, passwords_random),
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


class _AddressSpace:
    """The addresses of several networks, numbered from 0; one that two of them hold counts once."""

    def __init__(self, networks: Sequence[str]) -> None:
        parsed = [ip_network(network) for network in networks]
        self._networks: list[IPv4Network | IPv6Network] = [
            *collapse_addresses(each for each in parsed if isinstance(each, IPv4Network)),
            *collapse_addresses(each for each in parsed if isinstance(each, IPv6Network)),
        ]
        self._ends = list(accumulate(network.num_addresses for network in self._networks))
        self.size = self._ends[-1]

    def __getitem__(self, number: int) -> str:
        place = bisect_right(self._ends, number)
        from_end = number - self._ends[place]  # as in a list: -1 is the network's last
        return str(self._networks[place][from_end])


def _draw_addresses(
    segments: Sequence[RateSegment], index: npt.NDArray[np.int64], random: np.random.Generator
) -> list[str]:
    """For each arrival address number ⌊N·U⌋ of the N of its segment, U uniform in [0, 1)."""
    known = {networks: _AddressSpace(networks) for networks in {s.networks for s in segments}}
    spaces = [known[segment.networks] for segment in segments]
    length = ADDRESS_DRAW_BITS // 8
    drawn = random.bytes(length * len(index))
    addresses = []
    for arrival, place in enumerate(index.tolist()):
        space = spaces[place]
        number = int.from_bytes(drawn[arrival * length : (arrival + 1) * length], "little")
        addresses.append(space[number * space.size >> ADDRESS_DRAW_BITS])
    return addresses


def _draw_wrong_passwords(
    segments: Sequence[RateSegment], index: npt.NDArray[np.int64], random: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """U < ratio, U uniform in [0, 1): who mistypes at one ratio does so at every higher one."""
    ratios = np.array([segment.wrong_password_ratio for segment in segments])
    wrong: npt.NDArray[np.bool_] = random.random(len(index)) < ratios[index]
    return wrong


def _refuse_bad_segments(segments: Sequence[RateSegment], users: int) -> None:
    problems = []
    if users < 1:
        problems.append(f"{users} users: at least one is needed")
    before_s = 0.0
    for number, segment in enumerate(segments, start=1):
        name = f"segment {number} ({segment.phase})"
        problems += [f"{name}: {problem}" for problem in _segment_problems(segment, before_s)]
        if math.isfinite(segment.end_s):
            before_s = max(before_s, segment.end_s)
    if problems:
        raise UsageError("the load cannot be scheduled: " + "; ".join(problems))
    if before_s > MAX_LENGTH_S:
        raise UsageError(
            f"the load lasts {before_s / 3600:.1f} h; more than 24 h is refused",
            remedy="Replay it in shortened time (without --full-length), or cut the incident.",
        )
    _refuse_too_many(expected_arrivals(segments))


def _segment_problems(segment: RateSegment, before_s: float) -> Iterator[str]:
    """What is wrong with a segment that follows one which ends at ``before_s``."""
    times = (segment.begin_s, segment.end_s)
    rates = (segment.rate_begin_per_s, segment.rate_end_per_s)
    if not all(map(math.isfinite, times + rates)):
        yield "times and rates must be finite numbers"
    else:
        if segment.begin_s < before_s:
            yield f"begins at {segment.begin_s:g} s, before {before_s:g} s"
        if segment.end_s <= segment.begin_s:
            yield f"ends at {segment.end_s:g} s, not after its beginning"
        if min(rates) < 0:
            yield "a rate below zero"
    ratio = segment.wrong_password_ratio
    if not 0 <= ratio <= 1:
        yield f"a ratio of wrong passwords of {ratio:g}, not between 0 and 1"
    if not segment.networks:
        yield "no network: its clients need an address"
    for network in segment.networks:
        try:
            ip_network(network)
        except ValueError as error:
            yield str(error)


def _refuse_too_many(count: float) -> None:
    if count > MAX_ARRIVALS:
        raise UsageError(
            f"the load has {count:,.0f} arrivals; more than {MAX_ARRIVALS:,} are refused",
            remedy="Lower the rates, or replay in shortened time (without --full-length).",
        )
