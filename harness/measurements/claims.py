"""The figure of a claim: one measure over one stretch of the incident. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from harness.incident import Claim
from harness.measurements.arrivals import (
    count_users,
    quantiles,
    rounded,
    success_ratio,
)
from harness.measurements.pools import series, total_increase
from harness.recording import Recording
from harness.timemap import TimeMap


@dataclass(frozen=True)
class Measured:
    """A recording with what every measure looks at; ``table`` is its `attempted_logins`."""

    recording: Recording
    timemap: TimeMap
    table: pl.DataFrame


def claimed(claim: Claim, measured: Measured) -> float | None:
    """The claim's figure, in its unit; None where nothing was there to measure it by."""
    incident = measured.recording.incident
    begin_s = incident.outage.begin_s if claim.from_s is None else claim.from_s
    end_s = incident.outage.end_s if claim.until_s is None else claim.until_s
    value = _over(claim, measured, begin_s, end_s)
    if claim.relative_to is not None:
        other = claim.relative_to
        until_s = incident.clock.duration_s if other.until_s is None else other.until_s
        base = _over(claim, measured, other.from_s, until_s)
        value = None if value is None or not base else value / base
    return None if value is None else rounded(value)


def _over(claim: Claim, measured: Measured, begin_s: float, end_s: float) -> float | None:
    if claim.metric is not None:
        return _metric(claim, claim.metric, measured, begin_s, end_s)
    if claim.code is not None:
        return _answers(claim, claim.code, measured, begin_s, end_s)
    table, timemap = measured.table, measured.timemap
    if claim.replica is not None:
        table = table.filter(pl.col("replica") == claim.replica)
    match claim.measure:
        case "success":
            return success_ratio(table, timemap, begin_s, end_s)
        case "affected":
            return count_users(table, timemap, begin_s, end_s).affected_ratio
    begin_s, end_s = timemap.to_replay_s(begin_s), timemap.to_replay_s(end_s)
    good = table.filter(pl.col("bucket") == "ok")
    match claim.measure:
        case "goodput":
            done = good.filter((pl.col("ended_s") >= begin_s) & (pl.col("ended_s") < end_s))
            return done.height / (end_s - begin_s) if table.height else None
        case "attempts-per-login":
            begun = _intended(table, begin_s, end_s).filter(pl.col("attempts") > 0)
            return float(begun["attempts"].sum()) / begun.height if begun.height else None
        case "latency-p50" | "latency-p95" | "latency-p99":
            inside = _intended(good, begin_s, end_s)
            found = quantiles(inside["ended_s"] - inside["intended_s"])
            return {"50": found.p50, "95": found.p95, "99": found.p99}[claim.measure[-2:]]
    raise AssertionError(f"no such measure: {claim.measure}")


def _intended(table: pl.DataFrame, begin_s: float, end_s: float) -> pl.DataFrame:
    return table.filter((pl.col("intended_s") >= begin_s) & (pl.col("intended_s") < end_s))


def _answers(
    claim: Claim, code: str, measured: Measured, begin_s: float, end_s: float
) -> float | None:
    """Attempts that ended with ``code`` (a problem's, or an outcome such as client_timeout)."""
    timemap, requests = measured.timemap, measured.recording.requests
    ended = requests.filter(
        (pl.col("done_s") >= timemap.to_replay_s(begin_s))
        & (pl.col("done_s") < timemap.to_replay_s(end_s))
    )
    if claim.replica is not None:
        ended = ended.filter(pl.col("replica") == claim.replica)
    with_code = ended.filter((pl.col("code") == code) | (pl.col("outcome") == code)).height
    if claim.measure == "answers":
        return float(with_code) if requests.height else None
    failed = ended.filter(pl.col("outcome") != "ok").height
    return with_code / failed if failed else None


def _metric(
    claim: Claim, metric: str, measured: Measured, begin_s: float, end_s: float
) -> float | None:
    """Of the metric's series, summed at each instant at which they were sampled."""
    timemap = measured.timemap
    begin_s, end_s = timemap.to_replay_s(begin_s), timemap.to_replay_s(end_s)
    samples = measured.recording.samples
    if claim.target is not None:
        samples = samples.filter(pl.col("target") == claim.target)
    if claim.measure == "metric-increase":
        return total_increase(samples, metric, claim.labels, begin_s=begin_s, end_s=end_s)
    found = series(samples, metric, claim.labels).filter(
        (pl.col("time_s") >= begin_s) & (pl.col("time_s") < end_s)
    )
    if not found.height:
        return None
    sums = found.group_by("time_s", maintain_order=True).agg(pl.col("value").sum()).sort("time_s")
    aggregate: Callable[[pl.Series], object] = {
        "metric-max": pl.Series.max,
        "metric-min": pl.Series.min,
        "metric-mean": pl.Series.mean,
    }[claim.measure]
    value = aggregate(sums["value"])
    return float(value) if isinstance(value, int | float) else None
