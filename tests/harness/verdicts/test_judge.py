"""Verdicts on recordings: each check can pass, fail and be invalid, and says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.recording import Recording, TimelineEvent, read_recording
from harness.verdicts import Check, Verdict, exit_code, judge, merge
from tests.recordings import synthetic_recording


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return read_recording(synthetic_recording(tmp_path_factory.mktemp("runs") / "outage"))


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    directory = tmp_path_factory.mktemp("runs") / "healthy"
    return read_recording(synthetic_recording(directory, pool_size=20))


def checks(verdict: Verdict) -> dict[str, Check]:
    return {check.id: check for check in verdict.checks}


def test_the_outage_reproduces(outage: Recording) -> None:
    verdict = judge(outage)
    bad = [check for check in verdict.checks if check.outcome != "pass"]
    assert bad == []
    assert verdict.outcome == "pass"
    clocks = verdict.clocks_s
    assert clocks.surge_start == 600
    assert clocks.first_waiter is not None
    assert clocks.first_pool_timeout is not None
    assert clocks.recovered is not None
    assert clocks.mitigated is not None
    assert clocks.surge_start < clocks.first_waiter < clocks.first_pool_timeout
    assert clocks.recovered > clocks.mitigated


def test_without_the_defect_it_does_not_reproduce(healthy: Recording) -> None:
    verdict = judge(healthy)
    found = checks(verdict)
    assert verdict.outcome == "fail"
    assert exit_code(verdict.outcome) == 1
    for check_id in ("users_affected", "pool_timeouts", "no_recovery_before_fix"):
        check = found[f"reproduction.{check_id}"]
        assert check.outcome == "fail"
        assert "did not reproduce" in check.why
    assert found["reproduction.capacity"].outcome == "invalid"
    assert verdict.clocks_s.first_pool_timeout is None


def test_judging_twice_gives_the_same_bytes(outage: Recording) -> None:
    again = read_recording(outage.directory)
    assert judge(outage).to_json() == judge(again).to_json()


def test_missing_pool_metrics_are_invalid_never_pass(outage: Recording) -> None:
    blind = replace(
        outage,
        samples=outage.samples.filter(~pl.col("metric").str.starts_with("db_client_")),
    )
    found = checks(judge(blind))
    for check_id in (
        "reproduction.pool_timeouts",
        "reproduction.capacity",
        "recording.metrics_agree",
    ):
        assert found[check_id].outcome == "invalid"
    assert judge(blind).outcome == "invalid"


def test_a_pool_without_a_limit_has_no_capacity_to_speak_of(outage: Recording) -> None:
    limit = pl.col("metric") == "db_client_connection_max"
    unlimited = outage.samples.with_columns(
        value=pl.when(limit).then(float("inf")).otherwise(pl.col("value"))
    )
    verdict = judge(replace(outage, samples=unlimited))
    assert verdict.capacity.predicted_per_s is None
    assert checks(verdict)["reproduction.capacity"].outcome == "invalid"
    assert "Infinity" not in verdict.to_json()


def test_nothing_recorded_at_all_is_invalid_or_fail_everywhere(outage: Recording) -> None:
    empty = replace(
        outage,
        requests=outage.requests.head(0),
        samples=outage.samples.head(0),
        sessions=outage.sessions.head(0),
        events=(),
    )
    verdict = judge(empty)
    passed = {check.id for check in verdict.checks if check.outcome == "pass"}
    assert verdict.outcome != "pass"
    # What remains is true of it: it says it ended, nothing died, arrivals are in one bucket.
    assert passed <= {"run.complete", "run.parts_alive", "load.arrivals_conserved"}


def test_a_target_that_never_answers_is_never_a_pass(outage: Recording) -> None:
    mute = replace(
        outage,
        requests=outage.requests.filter(pl.col("attempt") == 1).with_columns(
            outcome=pl.lit("client_timeout"),
            done_s=pl.col("sent_s") + 8.0,
            status=pl.lit(None, pl.Int16),
            code=pl.lit(""),
        ),
        sessions=outage.sessions.head(0),
    )
    verdict = judge(mute)
    assert verdict.outcome == "fail"
    assert verdict.users.affected_ratio == 1.0


def test_a_partial_run_is_invalid_and_says_why(tmp_path: Path) -> None:
    partial = read_recording(synthetic_recording(tmp_path / "run", partial_at_s=40.0))
    verdict = judge(partial)
    assert verdict.outcome == "invalid"
    assert exit_code(verdict.outcome) == 3
    found = checks(verdict)
    assert found["run.complete"].why == "stopped by SIGTERM"
    assert not [c for c in verdict.checks if c.outcome == "fail"]
    assert "the run ended before they were due" in found["load.nothing_shed"].why


def test_a_part_that_died_is_named(outage: Recording) -> None:
    event = TimelineEvent(
        50.0, "lifecycle", "part-died", "at", {"part": "replica-1", "why": "ended by SIGKILL"}
    )
    verdict = judge(replace(outage, events=(*outage.events, event)))
    check = checks(verdict)["run.parts_alive"]
    assert verdict.outcome == check.outcome == "invalid"
    assert "replica-1: ended by SIGKILL" in check.why


def test_a_session_that_no_client_accounts_for_is_found(outage: Recording) -> None:
    stranger = pl.DataFrame({"user": [900_000], "sessions": [1]}, schema=outage.sessions.schema)
    more = replace(outage, sessions=pl.concat([outage.sessions, stranger]))
    check = checks(judge(more))["recording.database_agrees"]
    assert (check.outcome, check.why) == (
        "invalid",
        "1 users have a session that no client accounts for",
    )
    fewer = replace(outage, sessions=outage.sessions.tail(-3))
    assert "3 users were told" in checks(judge(fewer))["recording.database_agrees"].why


def test_a_late_generator_makes_the_run_invalid(outage: Recording) -> None:
    late = replace(
        outage,
        requests=outage.requests.with_columns(pl.col("sent_s") + 0.2, pl.col("done_s") + 0.2),
    )
    check = checks(judge(late))["load.start_lag"]
    assert check.outcome == "invalid"
    assert "ran late" in check.why


def test_a_decoy_that_helps_is_no_decoy(tmp_path: Path) -> None:
    """All replicas are fixed at once, and the decoy is said to have been there and then."""
    at_once = {"timeline[5].bake": "0s"}
    outage = read_recording(synthetic_recording(tmp_path / "run", overrides=at_once))
    fixed_s = next(e.t_s for e in outage.events if e.detail.get("step") == 2)
    moved = tuple(
        replace(event, t_s=fixed_s) if event.kind == "decoy" else event for event in outage.events
    )
    check = checks(judge(replace(outage, events=moved)))["decoy.reconnect-network"]
    assert check.outcome == "fail"


def test_counters_that_contradict_the_clients_are_invalid(outage: Recording) -> None:
    timeouts = pl.col("metric") == "db_client_connection_timeouts_total"
    for factor in (0.5, 2.0):
        wrong = outage.samples.with_columns(
            value=pl.when(timeouts).then(pl.col("value") * factor).otherwise(pl.col("value"))
        )
        check = checks(judge(replace(outage, samples=wrong)))["recording.metrics_agree"]
        assert check.outcome == "invalid"


outcomes = st.sampled_from(["pass", "fail", "invalid"])


@given(st.lists(outcomes), st.lists(outcomes, min_size=1))
def test_merging_is_associative_and_fail_wins(one, other) -> None:  # type: ignore[no-untyped-def]
    assert merge([]) == "invalid"
    together = merge(one + other)
    assert together == merge([merge(one), merge(other)]) or not one
    assert (together == "fail") == ("fail" in one + other)
    assert together == merge(other + one)
