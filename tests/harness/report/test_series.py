"""Series for charts: nothing is lost, and what was not seen is a gap."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from harness.recording import Recording
from harness.report import series
from harness.verdicts import Verdict

Run = tuple[Recording, Verdict]


@pytest.mark.parametrize("length_s", [1, 100, 240, 241, 10_200])
def test_bins_cover_the_run_and_are_few(length_s: float) -> None:
    bins = series.bins_for(length_s)
    assert bins.count <= series.MOST_BINS
    assert (bins.count - 1) * bins.width_s < length_s <= bins.count * bins.width_s


@pytest.mark.parametrize("length_s", [160, 1000])
def test_every_arrival_is_in_exactly_one_series(passed: Run, length_s: float) -> None:
    recording, verdict = passed
    bins = series.bins_for(length_s)
    found = series.outcomes_per_s(recording, bins)
    assert set(found) == {"ok", "http_error"}
    counted = sum(sum(v or 0 for v in values) for values in found.values()) * bins.width_s
    inside = recording.arrivals.filter(pl.col("intended_s") < bins.count * bins.width_s).height
    assert counted == pytest.approx(inside)
    assert inside <= verdict.arrivals.scheduled


def test_the_heat_map_holds_every_successful_login(passed: Run) -> None:
    recording, verdict = passed
    bins = series.bins_for(400)
    heat = series.latency(recording, bins).heat
    assert sum(map(sum, heat)) == verdict.arrivals.ok
    assert len(heat) == len(series.LATENCY_EDGES_S) - 1


def test_latency_quantiles_are_ordered(passed: Run) -> None:
    found = series.latency(passed[0], series.Bins(1.0, 240))
    rows = list(zip(found.p50_s, found.p95_s, found.p99_s, strict=True))
    known = [row for row in rows if row[0] is not None]
    assert len(known) > 100
    assert all(low <= middle <= high for low, middle, high in known)  # type: ignore[operator]


def test_pools_are_full_before_the_fix_and_larger_after_it(passed: Run) -> None:
    pools = series.pools(passed[0], series.Bins(1.0, 240))
    assert set(pools) == {"replica-1", "replica-2"}
    limits = [value for value in pools["replica-1"].limit if value is not None]
    assert (limits[0], limits[-1]) == (5, 20)
    assert max(value or 0 for value in pools["replica-1"].used[:60]) == 5


def test_unmeasured_parts_have_no_series(unmeasured: Run) -> None:
    recording, _ = unmeasured
    bins = series.bins_for(400)
    assert series.pools(recording, bins) == {}
    assert series.connections(recording, bins) == {}
    assert series.max_connections(recording) is None


def test_a_gap_in_the_scrapes_is_null_and_is_named(passed: Run) -> None:
    recording, _ = passed
    hole = pl.col("time_s").is_between(20, 25) & (pl.col("target") == "replica-2")
    holed = replace(recording, samples=recording.samples.filter(~hole))
    bins = series.Bins(1.0, 60)
    assert series.pools(holed, bins)["replica-2"].used[20:25] == [None] * 5
    assert series.unseen(holed, bins) == {"replica-2": [(20.0, 25.0)]}


def test_a_partial_run_completes_nothing_after_its_end(partial: Run) -> None:
    bins = series.Bins(1.0, 60)
    assert series.completed_per_s(partial[0], bins)[45:] == [None] * 15
