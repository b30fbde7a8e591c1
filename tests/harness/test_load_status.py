"""Several load processes' status as one: histograms are merged, never percentiles."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.status import LoadStatus, merged_p99_s, merged_status
from scenarios.output import StartLag

lags_s = st.lists(st.floats(0.0, 3.0), max_size=200)


def histogram(values_s: list[float]) -> StartLag:
    lag = StartLag()
    for value_s in values_s:
        lag.add(value_s)
    return lag


@given(st.lists(lags_s, min_size=1, max_size=5))
def test_the_merged_percentile_is_that_of_the_pooled_values(shards_s: list[list[float]]) -> None:
    """The same as if one process had seen all of them, and in the bin of the pooled raw value."""
    pooled_s = sorted(value_s for shard_s in shards_s for value_s in shard_s)
    merged_s = merged_p99_s([histogram(shard_s).histogram() for shard_s in shards_s])
    assert merged_s == histogram(pooled_s).p99_s()
    if not pooled_s:
        assert merged_s is None
        return
    assert merged_s is not None
    exact_s = pooled_s[math.ceil(len(pooled_s) * 0.99) - 1]
    if exact_s < StartLag.BINS * StartLag.BIN_S - 1e-9:
        assert exact_s - 1e-9 <= merged_s <= exact_s + StartLag.BIN_S + 1e-9
    else:
        assert merged_s >= exact_s - 1e-9


@given(lags_s, lags_s, lags_s)
def test_merging_knows_no_order(a: list[float], b: list[float], c: list[float]) -> None:
    parts = [histogram(values_s).histogram() for values_s in (a, b, c)]
    assert merged_p99_s(parts) == merged_p99_s(parts[::-1])


def test_neither_the_greatest_nor_the_mean_of_percentiles() -> None:
    """A worker with few and late arrivals must not speak for one with many and punctual ones."""
    many, few = histogram([0.001] * 9900), histogram([1.0] * 10)
    assert few.p99_s() == pytest.approx(1.0, abs=2e-4)
    assert merged_p99_s([many.histogram(), few.histogram()]) == pytest.approx(0.001, abs=2e-4)


def test_counts_add_up_and_a_missing_file_counts_nothing(tmp_path: Path) -> None:
    for number in range(2):
        status = {"offered": 5, "sent": 4, "ok": 3, "in_flight": 1}
        lag = {"start_lag": histogram([0.01]).histogram()}
        (tmp_path / f"{number}.json").write_text(json.dumps(status | lag))
    found = merged_status(tmp_path / f"{number}.json" for number in range(3))
    assert (found.offered, found.sent, found.ok, found.in_flight) == (10, 8, 6, 2)
    assert merged_status([tmp_path / "2.json"]) == LoadStatus()
