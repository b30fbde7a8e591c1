"""A recording at its incident's length: what a scraper would have stored, and nothing invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from harness.alerts.expansion import counter_names, expand, lab_time, labels_from_text
from harness.alerts.series import SeriesTable
from harness.incident import load_incident
from harness.recording import SAMPLES, Recording, read_recording
from tests.recordings import synthetic_recording

TIMEOUTS = "db_client_connection_timeouts_total"
PENDING = "db_client_connection_pending_requests"


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return read_recording(synthetic_recording(tmp_path_factory.mktemp("runs") / "outage"))


def row(table: SeriesTable, metric: str, instance: str) -> np.ndarray:
    (index,) = [
        number
        for number, labels in enumerate(table.labels)
        if dict(labels)["__name__"] == metric and dict(labels)["instance"] == instance
    ]
    return np.where(table.present[index], table.values[index], np.nan)


def with_samples(recording: Recording, rows: list[tuple[float, str, str, str, float]]) -> Recording:
    return replace(recording, samples=pl.DataFrame(rows, schema=SAMPLES, orient="row"))


def test_it_has_the_incidents_length(outage: Recording) -> None:
    found = expand(outage, scrape_s=15)
    assert (found.table.grid.start_s, found.table.grid.end_s) == (0, 170 * 60)
    assert found.time.held_s == 0


def test_plateau_counters_grow_at_their_measured_rate(outage: Recording) -> None:
    """Every timeout of the replay stands for as many as its second stands for seconds."""
    grown = row(expand(outage, scrape_s=1).table, TIMEOUTS, "replica-1")
    time = lab_time(outage.incident)
    own = outage.samples.filter(
        (pl.col("metric") == TIMEOUTS) & (pl.col("target") == "replica-1")
    ).sort("time_s")
    steps = np.diff(own["value"].to_numpy())
    weights = np.array([time.timemap.weight(at) for at in own["time_s"].to_list()[1:]])
    until = int(time.from_incident_s(7700))  # before the replica is replaced
    ends = np.array([time.from_replay_s(at) for at in own["time_s"].to_list()[1:]])
    expected = float((steps * weights)[ends <= until].sum())
    assert grown[until] == pytest.approx(expected, rel=0.05)
    assert grown[until] > own["value"].max() * 5


def test_true_speed_shows_each_sample_as_it_was(outage: Recording) -> None:
    table = expand(outage, scrape_s=1).table
    surge_s = 600
    shown = row(table, PENDING, "replica-1")[surge_s : surge_s + 10]
    at = lab_time(outage.incident).timemap.to_replay_s(surge_s)
    own = outage.samples.filter(
        (pl.col("metric") == PENDING) & (pl.col("target") == "replica-1")
    ).sort("time_s")
    expected = [
        own.filter(pl.col("time_s") <= at + second + 1e-9)["value"][-1] for second in range(10)
    ]
    assert shown.tolist() == expected


def test_a_plateau_shows_its_samples_in_turn(outage: Recording) -> None:
    """A second of a shortened plateau must not stand still for minutes."""
    table = expand(outage, scrape_s=15).table
    plateau = row(table, PENDING, "replica-1")[int(3000 / 15) : int(3900 / 15)]
    longest = max(len(run) for run in np.split(plateau, np.flatnonzero(np.diff(plateau) != 0) + 1))
    assert len(set(plateau.tolist())) > 3
    assert longest <= 3


def test_a_reset_stays_a_reset(outage: Recording) -> None:
    values = [0, 10, 20, 30, 0, 10, 20, 30]
    rows = [(float(t), "replica-1", "c_total", "", float(v)) for t, v in enumerate(values)]
    counted = row(expand(with_samples(outage, rows), scrape_s=1).table, "c_total", "replica-1")
    seen = counted[~np.isnan(counted)]
    drops = np.diff(seen)[np.diff(seen) < 0]
    assert len(drops) == 1
    assert seen.min() == 0


def test_what_was_not_seen_is_not_present(outage: Recording) -> None:
    rows = [(float(t), "replica-1", "g", "", 1.0) for t in range(5) if t not in (2, 3)]
    table = expand(with_samples(outage, rows), scrape_s=1).table
    # A second after the last sample it is still the present one.
    assert table.present[0][:5].tolist() == [True, True, True, False, True]


def test_the_lead_in_is_the_baseline_and_counters_grow_in_it(outage: Recording) -> None:
    found = expand(outage, scrape_s=15, lead_in_s=3600)
    assert found.table.grid.start_s == -3600
    logins = [
        number
        for number, labels in enumerate(found.table.labels)
        if dict(labels).get("outcome") == "success" and dict(labels)["instance"] == "replica-1"
    ]
    counted = found.table.values[logins[0]][: int(3600 / 15)]
    rate_per_s = float(np.nanmean(np.diff(counted))) / 15
    assert rate_per_s == pytest.approx(15, rel=0.25)  # 30/s over two replicas
    assert np.all(np.diff(counted) >= 0)


def test_short_stationary_stretches_are_held_and_spikes_are_not() -> None:
    spike = lab_time(load_incident("short-spike"), hold_s=1200, lead_in_s=600)
    held = [segment for segment in spike.segments if segment.held]
    assert [segment.lab_end_s - segment.lab_s for segment in held] == [600, 1200]
    assert held[0].lab_s == -600
    assert held[1].replay_end_s == pytest.approx(30)
    assert spike.end_s == pytest.approx(30 + 1200)
    # The spike itself is played as it was.
    assert spike.from_incident_s(12) - spike.from_incident_s(10) == pytest.approx(2)


def test_long_incidents_need_no_hold() -> None:
    time = lab_time(load_incident("undersized-pool"), hold_s=1200)
    assert not any(segment.held for segment in time.segments)
    assert time.from_incident_s(7800) == pytest.approx(7800)


@pytest.mark.parametrize("name", ["undersized-pool", "too-many-clients", "busy-morning"])
def test_segments_have_no_gaps_and_no_two_speeds(name: str) -> None:
    time = lab_time(load_incident(name), hold_s=600, lead_in_s=900)
    for segment, following in zip(time.segments, time.segments[1:], strict=False):
        assert following.lab_s == pytest.approx(segment.lab_end_s)
        assert segment.weight >= 1 - 1e-9
    real = [segment for segment in time.segments if not segment.held]
    assert sum(s.replay_end_s - s.replay_s for s in real) == pytest.approx(
        time.timemap.replay_length_s
    )


def test_a_count_is_a_counter_only_beside_a_sum() -> None:
    names = ["x_seconds_sum", "x_seconds_count", "x_seconds_bucket", "pg_stat_activity_count"]
    assert counter_names([*names, "a_total", "pg_stat_database_xact_commit", "g"]) == {
        *names[:3],
        "a_total",
        "pg_stat_database_xact_commit",
    }


def test_labels_keep_what_was_escaped() -> None:
    assert labels_from_text(r'a="x,y=\"z\"",b="c\\d",c="e\nf"') == {
        "a": 'x,y="z"',
        "b": "c\\d",
        "c": "e\nf",
    }


def test_only_wanted_metrics_are_kept(outage: Recording) -> None:
    table = expand(outage, wanted=lambda name: name == PENDING).table
    assert table.names() == {PENDING}
    assert expand(outage, wanted=lambda name: False).table.labels == ()


def test_the_job_is_told_by_the_target(outage: Recording) -> None:
    jobs = {dict(labels)["instance"]: dict(labels)["job"] for labels in expand(outage).table.labels}
    assert jobs["replica-1"] == "auth"
    assert jobs["gateway"] == "gateway"
    assert jobs["postgres"] == "postgres"
