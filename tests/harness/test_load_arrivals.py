"""The compiled schedule: complete, in order, repeatable, and a Poisson process where it says so."""

from __future__ import annotations

import math
from dataclasses import replace
from ipaddress import ip_address, ip_network

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

DRAWN_BEFORE = ["arrival", "user", "intended_s", "phase"]
"""The columns that must not change with what is drawn beside them."""

rates = st.one_of(st.just(0.0), st.floats(0.01, 60.0))
ratios = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
networks = st.lists(
    st.sampled_from(
        ["10.16.0.0/16", "10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "2001:db8::/127", "::/0"]
    ),
    min_size=1,
    max_size=4,
).map(tuple)


@st.composite
def segment_lists(draw: st.DrawFn) -> list[RateSegment]:
    segments = []
    at_s = draw(st.sampled_from([0.0, 3.5]))
    for number in range(draw(st.integers(0, 5))):
        at_s += draw(st.sampled_from([0.0, 0.0, 2.0]))
        end_s = at_s + draw(st.floats(0.1, 10.0))
        segments.append(
            RateSegment(
                f"phase-{number}",
                at_s,
                end_s,
                draw(rates),
                draw(rates),
                wrong_password_ratio=draw(ratios),
                networks=draw(networks),
            )
        )
        at_s = end_s
    return segments


def steady(count: int, **fields: object) -> list[RateSegment]:
    """A segment with ``count`` uniform arrivals."""
    return [replace(RateSegment("steady", 0.0, 100.0, count / 100, count / 100), **fields)]  # type: ignore[arg-type]


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
    """Whatever is drawn depends on the seed."""
    mistyping = [replace(segment, wrong_password_ratio=0.5) for segment in SURGE]
    one, two = (compile_arrivals(mistyping, seed=seed, users=50_000) for seed in (1, 2))
    for column in ("intended_s", "user", "address", "wrong_password"):
        assert not one[column].head(100).equals(two[column].head(100)), column


def test_the_population_leaves_the_instants_alone() -> None:
    """So that runs with more users can be compared with runs with fewer."""
    few, many = (compile_arrivals(SURGE, seed=5, users=users) for users in (10, 10_000))
    assert few["intended_s"].equals(many["intended_s"])


@given(segment_lists(), st.integers(0, 2**32), st.sampled_from(["poisson", "uniform"]))
@settings(max_examples=40, deadline=None)
def test_addresses_and_mistakes_leave_instants_and_users_alone(
    segments: list[RateSegment], seed: int, process: str
) -> None:
    """So that a drill with attackers differs from the one without by them alone."""
    plain = [
        RateSegment(s.phase, s.begin_s, s.end_s, s.rate_begin_per_s, s.rate_end_per_s)
        for s in segments
    ]
    before, after = (
        compile_arrivals(each, seed=seed, users=50, arrivals=process)  # type: ignore[arg-type]
        for each in (plain, segments)
    )
    assert before.select(DRAWN_BEFORE).equals(after.select(DRAWN_BEFORE))
    assert not before["wrong_password"].any()


def test_a_seed_gives_the_instants_and_users_that_it_always_gave() -> None:
    """Published runs are repeated by their seed: these were drawn before there were addresses."""
    frame = compile_arrivals(SURGE, seed=3, users=1000)
    assert frame.height == 9350
    assert frame["intended_s"].gather([0, 1, 2, -1]).to_list() == pytest.approx(
        [0.005232580977922676, 0.03491091803517217, 0.05410158730772556, 69.87148969258811],
        rel=1e-12,
    )
    assert frame["user"].gather([0, 1, 2, -1]).to_list() == [58, 81, 673, 897]


@given(segment_lists(), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_clients_come_from_the_networks_of_their_phase(
    segments: list[RateSegment], seed: int
) -> None:
    """Nobody else's address, and the written form is the one that ipaddress writes."""
    frame = compile_arrivals(segments, seed=seed, users=50)
    allowed = {s.phase: [ip_network(each) for each in s.networks] for s in segments}
    for phase, text in frame.select("phase", "address").iter_rows():
        address = ip_address(text)
        assert str(address) == text
        assert any(address in network for network in allowed[phase])


def test_every_address_is_drawn_and_no_other() -> None:
    """The first and the last of each network too, of both kinds of address together."""
    blocks = ("192.0.2.0/30", "2001:db8::/127", "192.0.2.9")
    frame = compile_arrivals(steady(400, networks=blocks), seed=4, users=10)
    assert set(frame["address"]) == {
        "192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.9",
        "2001:db8::", "2001:db8::1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("blocks", "part", "share"),
    [
        (("10.1.0.0/24", "10.2.0.0/16"), "10.1.0.0/24", 1 / 257),
        (("10.1.0.0/17", "2001:db8::/112"), "10.1.0.0/17", 1 / 3),
        (("10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/9"), "10.0.0.0/9", 1 / 2),
        (("10.1.0.0/16",), "10.1.0.0/18", 1 / 4),
        (("::/0",), "8000::/1", 1 / 2),
        (("::/0", "0.0.0.0/0"), "::/0", 1),
    ],
)
def test_addresses_are_uniform_over_all_networks_together(
    blocks: tuple[str, ...], part: str, share: float
) -> None:
    """A network counts by its size, and what two networks share counts once."""
    count = 20_000
    frame = compile_arrivals(steady(count, networks=blocks), seed=4, users=10, arrivals="uniform")
    network = ip_network(part)
    found = sum(ip_address(text) in network for text in frame["address"])
    assert found == pytest.approx(share * count, abs=4 * math.sqrt(count * share * (1 - share)))


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.3, 1.0])
def test_wrong_passwords_have_their_ratio(ratio: float) -> None:
    """None at 0, all at 1, and what chance allows between."""
    count = 20_000
    segments = steady(count, wrong_password_ratio=ratio)
    wrong = compile_arrivals(segments, seed=4, users=10, arrivals="uniform")["wrong_password"]
    assert wrong.sum() == pytest.approx(
        ratio * count, abs=4 * math.sqrt(count * ratio * (1 - ratio))
    )


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_a_higher_ratio_only_adds_mistakes(one: float, two: float, seed: int) -> None:
    """Two drills that differ in the ratio can be compared arrival by arrival."""
    fewer, more = (
        compile_arrivals(steady(200, wrong_password_ratio=ratio), seed=seed, users=10)
        for ratio in sorted((one, two))
    )
    assert not (fewer["wrong_password"] & ~more["wrong_password"]).any()
    assert fewer["address"].equals(more["address"])


def test_each_phase_has_its_own_clients() -> None:
    """An attack from elsewhere leaves the baseline's clients as they were."""
    attack = RateSegment("attack", 70.0, 80.0, 100.0, 100.0, 1.0, ("203.0.113.0/24",))
    frame = compile_arrivals([*SURGE, attack], seed=3, users=1000)
    wrong = dict(frame.group_by("phase").agg(pl.col("wrong_password").mean()).iter_rows())
    assert wrong == {"baseline": 0.0, "surge": 0.0, "decline": 0.0, "attack": 1.0}
    attackers = frame.filter(pl.col("address").str.starts_with("203.0.113."))
    assert attackers["phase"].unique().to_list() == ["attack"]
    assert attackers.height == frame.filter(pl.col("phase") == "attack").height > 0


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
        (steady(1, wrong_password_ratio=1.5), 10, "ratio of wrong passwords of 1.5"),
        (steady(1, wrong_password_ratio=-0.1), 10, "between 0 and 1"),
        (steady(1, wrong_password_ratio=math.nan), 10, "between 0 and 1"),
        (steady(1, networks=()), 10, "no network"),
        (steady(1, networks=("10.0.0.1/8",)), 10, "host bits"),
        (steady(1, networks=("10.0.0.0/8", "somewhere")), 10, "somewhere"),
    ],
)
def test_impossible_loads_are_refused(segments: list[RateSegment], users: int, word: str) -> None:
    """Before anything is drawn, with the number that is wrong."""
    with pytest.raises(UsageError, match=word):
        compile_arrivals(segments, seed=1, users=users)


def test_all_problems_of_a_load_are_told_at_once() -> None:
    """Each with the segment that it is about."""
    segments = [
        RateSegment("a", 0.0, math.inf, 1.0, 1.0, wrong_password_ratio=2.0),
        RateSegment("b", 3.0, 2.0, -1.0, 1.0, networks=()),
    ]
    with pytest.raises(UsageError) as refused:
        compile_arrivals(segments, seed=1, users=0)
    told = refused.value.message.partition(": ")[2].split("; ")
    assert [problem.partition(":")[0] for problem in told] == [
        "0 users", "segment 1 (a)", "segment 1 (a)", "segment 2 (b)", "segment 2 (b)",
        "segment 2 (b)",
    ]  # fmt: skip


@given(seed=st.integers(0, 10_000), rate=st.floats(1.0, 200.0))
def test_jittered_arrivals_have_the_rates_number_and_random_instants(
    seed: int, rate: float
) -> None:
    """One in each slot of 1/rate: the number in a stretch is right to within one at each end."""
    made = compile_arrivals(
        [RateSegment("s", 0.0, 10.0, rate, rate)], seed=seed, users=100_000, arrivals="jittered"
    )
    assert abs(made.height - rate * 10.0) <= 1.0
    inside = made.filter(pl.col("intended_s").is_between(2.0, 7.0)).height
    assert abs(inside - rate * 5.0) <= 2.0
    other = compile_arrivals(
        [RateSegment("s", 0.0, 10.0, rate, rate)], seed=seed + 1, users=100_000, arrivals="jittered"
    )
    assert made["intended_s"].to_list() != other["intended_s"].to_list()
