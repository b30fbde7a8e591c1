"""Buckets, users and latency on recordings small enough to check by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import measurements
from harness.incident import Incident, read_incident
from harness.measurements.arrivals import quantiles
from harness.recording import (
    ARRIVALS,
    BUCKETS,
    REQUESTS,
    SAMPLES,
    SESSIONS,
    Recording,
    RunInfo,
)
from harness.timemap import build_timemap
from tests.recordings import UNDERSIZED_YAML

INCIDENT: Incident = read_incident(UNDERSIZED_YAML, file="x.yaml")
PATIENCE_S = INCIDENT.load.client.patience_s

Attempt = tuple[int, int, float, float | None, str]
"""arrival, attempt, sent_s, done_s, outcome"""


def recording(arrivals: list[tuple[int, float]], attempts: list[Attempt]) -> Recording:
    """``arrivals`` are (arrival, intended_s); arrival N belongs to user N + 100."""
    schedule = [
        (number, number + 100, intended_s, "surge", "10.16.0.1", False)
        for number, intended_s in arrivals
    ]
    rows = [
        (arrival, arrival + 100, attempt, sent_s, done_s, outcome, None, "", "replica-1")
        for arrival, attempt, sent_s, done_s, outcome in attempts
    ]
    return Recording(
        directory=Path("nowhere"),
        info=RunInfo("undersized-pool", 1, status="complete"),
        incident=INCIDENT,
        arrivals=pl.DataFrame(schedule, schema=ARRIVALS, orient="row"),
        requests=pl.DataFrame(rows, schema=REQUESTS, orient="row"),
        samples=pl.DataFrame(schema=SAMPLES),
        sessions=pl.DataFrame(schema=SESSIONS),
        events=(),
        environment={},
    )


def test_an_arrival_ends_as_its_last_attempt_ended() -> None:
    run = recording(
        [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)],
        [
            (0, 1, 1.0, 2.0, "http_error"),
            (0, 2, 3.0, 3.5, "ok"),
            (1, 1, 2.0, 9.0, "client_timeout"),
            (2, 1, 3.0, None, "in_flight_at_end"),
        ],
    )
    counted = measurements.count_buckets(measurements.arrival_table(run))
    assert counted.model_dump() == {
        "scheduled": 4,
        "ok": 1,
        "client_timeout": 1,
        "in_flight_at_end": 1,
        "shed_by_generator": 1,
        "http_error": 0,
        "gateway_timeout": 0,
        "refused": 0,
    }
    assert measurements.broken_arrivals(run) == []


def test_a_login_after_the_users_patience_does_not_count_for_the_user() -> None:
    run = recording(
        [(0, 40.0), (1, 40.0)],
        [(0, 1, 40.0, 40.0 + PATIENCE_S, "ok"), (1, 1, 40.0, 40.1 + PATIENCE_S, "ok")],
    )
    table = measurements.arrival_table(run)
    assert table["in_time"].to_list() == [True, False]
    assert measurements.count_buckets(table).ok == 2


def test_users_are_weighted_by_the_time_map() -> None:
    """One user fails at true speed, one succeeds on a plateau: the plateau stands for hours."""
    timemap = build_timemap(INCIDENT)
    true_speed_s = timemap.to_replay_s(605.0)
    plateau_s = timemap.to_replay_s(1500.0)
    weight = timemap.weight(plateau_s)
    assert timemap.weight(true_speed_s) == 1
    assert weight > 50
    run = recording(
        [(0, true_speed_s), (1, plateau_s)],
        [
            (0, 1, true_speed_s, true_speed_s + 1, "http_error"),
            (1, 1, plateau_s, plateau_s + 1, "ok"),
        ],
    )
    users = measurements.count_users(measurements.arrival_table(run), timemap, 600.0, 9600.0)
    assert users.replayed.model_dump() == {"attempted": 2, "affected": 1}
    assert users.affected_ratio == pytest.approx(1 / (1 + weight), abs=1e-6)
    outside = measurements.count_users(measurements.arrival_table(run), timemap, 0.0, 600.0)
    assert outside.affected_ratio is None


def test_a_login_cut_off_by_the_end_says_nothing_about_its_user() -> None:
    run = recording(
        [(0, 40.0), (1, 50.0)],
        [(0, 1, 40.0, None, "in_flight_at_end"), (1, 1, 50.0, None, "in_flight_at_end")],
    )
    ended = replace(run, info=replace(run.info, end_s=41.0 + PATIENCE_S))
    assert measurements.arrival_table(ended)["decided"].to_list() == [True, False]


def test_latency_counts_from_the_intended_instant_and_from_the_send() -> None:
    run = recording([(0, 10.0)], [(0, 1, 10.5, 11.0, "http_error"), (0, 2, 12.0, 12.25, "ok")])
    latency = measurements.latency(run, measurements.arrival_table(run))
    assert latency.from_intended.p50 == 2.25
    assert latency.from_send.max == 0.25
    assert latency.start_lag.p99 == 0.5


def test_without_a_success_there_is_no_latency() -> None:
    run = recording([(0, 10.0)], [(0, 1, 10.5, 11.0, "refused")])
    latency = measurements.latency(run, measurements.arrival_table(run))
    assert latency.from_intended.model_dump() == dict.fromkeys(("p50", "p95", "p99", "max"))


@pytest.mark.parametrize(
    ("attempts", "said"),
    [
        ([(7, 1, 1.0, 2.0, "ok")], "never scheduled"),
        ([(0, 2, 1.0, 2.0, "ok")], "not numbered"),
        ([(0, 1, 1.0, 2.0, "ok"), (0, 1, 1.0, 2.0, "ok")], "recorded twice"),
        ([(0, 1, 1.0, 2.0, "ok"), (0, 2, 3.0, 4.0, "ok")], "went on after"),
        ([(0, 1, 1.0, 2.0, "lost")], "unknown outcome"),
        ([(0, 1, 3.0, 2.0, "ok")], "end before they are sent"),
    ],
)
def test_arrivals_that_do_not_add_up_are_named(attempts: list[Attempt], said: str) -> None:
    broken = measurements.broken_arrivals(recording([(0, 1.0)], attempts))
    assert any(said in sentence for sentence in broken)


def test_an_attempt_under_another_users_name_is_named() -> None:
    run = recording([(0, 1.0)], [(0, 1, 1.0, 2.0, "ok")])
    stolen = replace(run, requests=run.requests.with_columns(user=pl.lit(5, pl.UInt32)))
    assert any("another user" in sentence for sentence in measurements.broken_arrivals(stolen))


outcomes = st.lists(st.sampled_from(BUCKETS[:-1]), max_size=3)


@given(st.lists(outcomes, max_size=30))
def test_every_arrival_is_in_exactly_one_bucket(ends: list[list[str]]) -> None:
    attempts: list[Attempt] = [
        (arrival, number, 1.0 * number, 1.0 * number + 0.5, outcome)
        for arrival, sequence in enumerate(ends)
        for number, outcome in enumerate(sequence, start=1)
    ]
    run = recording([(number, 1.0) for number in range(len(ends))], attempts)
    counted = measurements.count_buckets(measurements.arrival_table(run)).model_dump()
    assert counted.pop("scheduled") == sum(counted.values()) == len(ends)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_quantiles_are_monotone_and_observed(values: list[float]) -> None:
    found = quantiles(pl.Series(values, dtype=pl.Float64))
    assert found.p50 is not None
    assert found.p95 is not None
    assert found.p99 is not None
    assert found.max == round(max(values), 6)
    assert found.p50 <= found.p95 <= found.p99 <= found.max
    assert found.p50 in [round(value, 6) for value in values]
