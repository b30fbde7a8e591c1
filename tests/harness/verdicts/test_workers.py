"""The checks of a load from several workers: each can pass and be invalid, and says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from harness.recording import EventState, Recording, TimelineEvent, read_recording
from harness.verdicts import Check, Verdict, exit_code, judge
from tests.recordings import synthetic_recording

LOST_S = 12.0


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return read_recording(synthetic_recording(tmp_path_factory.mktemp("runs") / "outage"))


def event(
    name: str, state: EventState, shard: int, detail: Mapping[str, Any], t_s: float = 0.0
) -> TimelineEvent:
    who = {"worker": f"w{shard}", "shard": shard, "shards": 2}
    return TimelineEvent(t_s, "lifecycle", name, state, {**who, **detail})


def joined(shard: int, uncertainty_s: float = 0.001) -> TimelineEvent:
    return event("load-worker", "begin", shard, {"clock_uncertainty_s": uncertainty_s})


def left(shard: int, drift_s: float = 0.0, uncertainty_s: float = 0.001) -> TimelineEvent:
    clock = {"clock_drift_s": drift_s, "clock_uncertainty_s": uncertainty_s}
    return event("load-worker", "end", shard, clock)


def lost(shard: int, at_s: float | None = LOST_S) -> TimelineEvent:
    return event("load-worker-lost", "at", shard, {"at_s": at_s, "why": "its heartbeats ceased"})


def judged(recording: Recording, *events: TimelineEvent) -> tuple[Verdict, dict[str, Check]]:
    verdict = judge(
        replace(
            recording,
            environment={**recording.environment, "load": {"workers": 2}},
            events=(*recording.events, *events),
        )
    )
    return verdict, {check.id: check for check in verdict.checks}


def test_two_whole_workers_pass(outage: Recording) -> None:
    verdict, found = judged(outage, joined(0), joined(1), left(0), left(1, -0.002))
    assert verdict.outcome == "pass"
    assert found["load.workers"].measured == 2
    assert found["load.clocks"].measured == pytest.approx(0.003)


def test_a_load_without_a_master_is_not_asked(outage: Recording) -> None:
    ids = {check.id for check in judge(outage).checks}
    assert not ids & {"load.workers", "load.clocks"}


def test_a_lost_worker_makes_everything_that_was_to_happen_invalid(outage: Recording) -> None:
    """Not failed: half the load says nothing about what the whole one would have done."""
    shard = pl.col("arrival") % 2 == 1
    early = outage.arrivals.filter(pl.col("intended_s") <= LOST_S)["arrival"]
    kept = outage.requests.filter(~shard | pl.col("arrival").is_in(early.to_list()))
    half = replace(outage, requests=kept)
    verdict, found = judged(half, joined(0), joined(1), left(0), lost(1))
    assert exit_code(verdict.outcome) == 3
    assert {c.outcome for c in verdict.checks if c.id.startswith("reproduction.")} == {"invalid"}
    gone = outage.arrivals.filter(shard & (pl.col("intended_s") > LOST_S))
    assert found["load.workers"].measured == 1
    first, last = gone["arrival"].min(), gone["arrival"].max()
    assert found["load.workers"].why == (
        f"worker w1 (shard 1 of 2) was lost at 12.0 s, its heartbeats ceased: {gone.height} "
        f"arrivals went with it, {first} to {last} "
        f"({gone['intended_s'].min():.1f} to {gone['intended_s'].max():.1f} s)"
    )
    assert found["load.clocks"].outcome == "pass"


def test_an_attempt_whose_end_nobody_heard_of_went_with_its_worker(outage: Recording) -> None:
    """And those of other shards did not, however they ended."""
    three = outage.arrivals["arrival"].head(6).to_list()
    cut = outage.requests.with_columns(
        outcome=pl.when(pl.col("arrival").is_in(three))
        .then(pl.lit("in_flight_at_end"))
        .otherwise(pl.col("outcome"))
    )
    of_shard = [number for number in three if number % 2 == 0]
    _, found = judged(replace(outage, requests=cut), joined(0), joined(1), left(1), lost(0, None))
    assert "w0 (shard 0 of 2) was lost before the load began" in found["load.workers"].why
    last = cut.sort("attempt").group_by("arrival").last()
    open_ = last.filter((pl.col("outcome") == "in_flight_at_end") & (pl.col("arrival") % 2 == 0))
    assert set(of_shard) <= set(open_["arrival"])
    assert f": {open_.height} arrivals went with it" in found["load.workers"].why


def test_a_worker_of_which_nothing_is_recorded_is_missed(outage: Recording) -> None:
    """Missing data is invalid, never a pass."""
    _, nothing = judged(outage)
    assert nothing["load.workers"].outcome == "invalid"
    assert "of shard 0 (shard 0 of 2) never joined" in nothing["load.workers"].why
    assert nothing["load.clocks"].outcome == "invalid"
    assert nothing["load.clocks"].measured is None
    _, half = judged(outage, joined(0), joined(1), left(0))
    assert "w1 (shard 1 of 2) was not heard of at the end" in half["load.workers"].why
    assert "w1 was not compared at both ends" in half["load.clocks"].why


def test_all_workers_lost_leave_no_clock_to_trust(outage: Recording) -> None:
    _, found = judged(outage, joined(0), joined(1), lost(0), lost(1))
    assert found["load.workers"].measured == 0
    assert found["load.clocks"].outcome == "invalid"


@pytest.mark.parametrize(
    ("uncertainty_s", "drift_s", "outcome"),
    [
        (0.001, 0.0, "pass"),
        (0.05, 0.09, "pass"),
        (0.15, 0.0, "invalid"),
        (0.001, 0.15, "invalid"),
        (0.001, -0.15, "invalid"),
        (0.001, -0.0995, "invalid"),  # with the end's own uncertainty it is beyond
    ],
)
def test_a_clock_may_be_off_by_the_start_lags_budget(
    outage: Recording, uncertainty_s: float, drift_s: float, outcome: str
) -> None:
    """The small print is the incident's: its budget is 0.1 s."""
    assert outage.incident.load.start_lag_budget_s == 0.1
    _, found = judged(outage, joined(0), joined(1, uncertainty_s), left(0), left(1, drift_s))
    check = found["load.clocks"]
    assert check.outcome == outcome
    if outcome == "invalid":
        assert f"worker w1 was known to ± {uncertainty_s:.4f} s" in check.why
        assert f"drifted by {drift_s:+.4f} s" in check.why
        assert "w0" not in check.why
