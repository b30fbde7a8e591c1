"""What happened to the arrivals: buckets, users, latency. Pure functions of a recording."""

from __future__ import annotations

import math

import polars as pl

from harness.measurements.model import (
    Arrivals,
    Latency,
    Quantiles,
    Replayed,
    StartLag,
    Users,
)
from harness.recording import BUCKETS, Recording
from harness.timemap import TimeMap


def arrival_table(recording: Recording) -> pl.DataFrame:
    """One row an arrival, with how it ended.

    Columns: those of ``arrivals``; ``attempts``; ``bucket`` (the outcome of its last attempt,
    ``shed_by_generator`` without any); ``first_sent_s``; ``ended_s`` (of the last attempt, null
    when it never ended); ``in_time``: a login succeeded within the user's patience; ``decided``:
    it was begun, and was not cut off by the end of the run while its user was still patient;
    ``replica``: the last that an attempt is known to have reached, else empty.
    """
    per_arrival = recording.requests.group_by("arrival", maintain_order=True).agg(
        attempts=pl.len(),
        bucket=pl.col("outcome").sort_by("attempt").last(),
        first_sent_s=pl.col("sent_s").min(),
        last_sent_s=pl.col("sent_s").max(),
        ended_s=pl.col("done_s").sort_by("attempt").last(),
        ok_s=pl.col("done_s").filter(pl.col("outcome") == "ok").min(),
        replica=pl.col("replica").filter(pl.col("replica") != "").last(),
    )
    patience_s = recording.incident.load.client.patience_s
    end_s = math.inf if recording.info.end_s is None else recording.info.end_s
    cut_off = (pl.col("bucket") == "in_flight_at_end") & (pl.col("intended_s") + patience_s > end_s)
    return (
        recording.arrivals.join(per_arrival, on="arrival", how="left")
        .with_columns(
            pl.col("attempts").fill_null(0),
            pl.col("bucket").fill_null("shed_by_generator"),
            pl.col("replica").fill_null(""),
            in_time=(pl.col("ok_s") <= pl.col("intended_s") + patience_s).fill_null(False),
        )
        .with_columns(decided=(pl.col("attempts") > 0) & ~cut_off)
        .sort("arrival")
    )


def attempted_logins(table: pl.DataFrame) -> pl.DataFrame:
    """The arrivals of an `arrival_table` that were meant to log in.

    Who gives a wrong password is load, and is turned away in health as in an outage.
    """
    return table.filter(~pl.col("wrong_password"))


def count_buckets(table: pl.DataFrame) -> Arrivals:
    """Arrivals by bucket, of an `arrival_table`."""
    counts = dict(table.group_by("bucket", maintain_order=True).len().iter_rows())
    return Arrivals(scheduled=table.height, **{name: counts.get(name, 0) for name in BUCKETS})


def broken_arrivals(recording: Recording) -> list[str]:
    """Why the arrivals are not conserved, one sentence a kind of breach; empty when they are.

    Each scheduled arrival may appear once; its attempts are numbered 1, 2, … without gap, belong
    to its user, and only the last may have succeeded or be still in flight.
    """
    arrivals, requests = recording.arrivals, recording.requests
    last = pl.col("attempt") == pl.col("attempt").max().over("arrival")
    joined = requests.join(arrivals.select("arrival", owner="user"), on="arrival", how="left")
    numbered = requests.group_by("arrival", maintain_order=True).agg(
        gap=(pl.col("attempt").n_unique() != pl.col("attempt").max())
        | (pl.col("attempt").min() < 1),
        twice=pl.col("attempt").n_unique() != pl.len(),
    )
    breaches = {
        "arrivals scheduled twice": arrivals.height - arrivals["arrival"].n_unique(),
        "attempts of arrivals that were never scheduled": joined["owner"].null_count(),
        "attempts under another user's name": joined.filter(
            pl.col("owner").is_not_null() & (pl.col("owner") != pl.col("user"))
        ).height,
        "attempts with an unknown outcome": requests.filter(
            ~pl.col("outcome").is_in(list(BUCKETS))
        ).height,
        "arrivals whose attempts are not numbered 1, 2, …": numbered.filter("gap").height,
        "arrivals with an attempt recorded twice": numbered.filter("twice").height,
        "arrivals that went on after they had succeeded or while in flight": requests.filter(
            pl.col("outcome").is_in(["ok", "in_flight_at_end"]) & ~last
        ).height,
        "attempts that end before they are sent": requests.filter(
            pl.col("done_s") < pl.col("sent_s")
        ).height,
    }
    return [f"{count} {what}" for what, count in breaches.items() if count]


def count_users(table: pl.DataFrame, timemap: TimeMap, begin_s: float, end_s: float) -> Users:
    """Users who tried to log in between two incident seconds, and those who could not.

    A user is affected when a login of theirs did not succeed within their patience. Weighted with
    the time map's slope at the intended instant: *Σ weight(affected) / Σ weight(attempted)*. A
    login that was never begun, or was cut off undecided, says nothing about its user.
    """
    window = _between(table, timemap, begin_s, end_s)
    users = window.group_by("user", maintain_order=True).agg(
        weight=pl.col("weight").max(), affected=~pl.col("in_time").all()
    )
    # fsum: the same bits whatever the order, so that the verdict is the same bytes.
    attempted = math.fsum(users["weight"])
    affected = math.fsum(users.filter("affected")["weight"])
    return Users(
        attempted=round(attempted),
        affected=round(affected),
        affected_ratio=rounded(affected / attempted) if attempted else None,
        replayed=Replayed(attempted=users.height, affected=users.filter("affected").height),
    )


def success_ratio(
    table: pl.DataFrame, timemap: TimeMap, begin_s: float, end_s: float
) -> float | None:
    """Share of the logins decided, of two incident seconds' arrivals, that succeeded in time."""
    window = _between(table, timemap, begin_s, end_s)
    return rounded(float(window["in_time"].cast(pl.Float64).mean())) if window.height else None  # type: ignore[arg-type]


def latency(recording: Recording, table: pl.DataFrame) -> Latency:
    """Seconds, of successful logins.

    ``from_intended``: from the instant at which the user meant to log in to the answer, retries
    and backoff included. ``from_send``: the successful attempt alone. ``start_lag``: how late the
    first attempt of any arrival left.
    """
    good = table.filter(pl.col("bucket") == "ok")
    lag = (table["first_sent_s"] - table["intended_s"]).drop_nulls()
    return Latency(
        from_intended=quantiles(good["ended_s"] - good["intended_s"]),
        from_send=quantiles(good["ended_s"] - good["last_sent_s"]),
        start_lag=StartLag(p99=_quantile(lag, 0.99)),
    )


def quantiles(values: pl.Series) -> Quantiles:
    """p50, p95, p99 and the maximum (nearest rank); None without values."""
    return Quantiles(
        p50=_quantile(values, 0.50),
        p95=_quantile(values, 0.95),
        p99=_quantile(values, 0.99),
        max=_quantile(values, 1.0),
    )


def rounded(value: float) -> float:
    """Six decimals: beyond every instrument here, and the same text on every machine."""
    return round(value, 6)


def with_weights(table: pl.DataFrame, timemap: TimeMap, column: str = "intended_s") -> pl.DataFrame:
    """``table`` with ``incident_s`` and ``weight`` of ``column`` (replay seconds)."""
    times = table[column].to_list()
    return table.with_columns(
        pl.Series("incident_s", [timemap.to_incident_s(t) for t in times], pl.Float64),
        pl.Series("weight", [timemap.weight(t) for t in times], pl.Float64),
    )


def _between(table: pl.DataFrame, timemap: TimeMap, begin_s: float, end_s: float) -> pl.DataFrame:
    """Decided arrivals that were intended in [begin_s, end_s) of incident time, with weights."""
    inside = (pl.col("incident_s") >= begin_s) & (pl.col("incident_s") < end_s)
    return with_weights(table, timemap).filter(inside & pl.col("decided"))


def _quantile(values: pl.Series, q: float) -> float | None:
    found = values.quantile(q, interpolation="nearest") if len(values) else None
    return None if found is None else rounded(float(found))
