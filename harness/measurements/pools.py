"""What the pools showed: waiters, timeouts, holding, capacity. Pure functions of a recording."""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from harness.measurements.arrivals import rounded
from harness.measurements.model import Capacity
from harness.recording import Recording

PENDING = "db_client_connection_pending_requests"
TIMEOUTS = "db_client_connection_timeouts_total"
COUNT = "db_client_connection_count"
LIMIT = "db_client_connection_max"
USE_SUM = "db_client_connection_use_time_seconds_sum"
LOGINS = "auth_logins_total"

RETIRING = "-retiring"
"""A replica that was replaced and works off its last requests is sampled under this suffix."""


def series(samples: pl.DataFrame, metric: str, labels: str = "") -> pl.DataFrame:
    """Samples of ``metric`` whose labels contain ``labels`` (``state="used"``), by time."""
    return samples.filter(
        (pl.col("metric") == metric) & pl.col("labels").str.contains(labels, literal=True)
    )


def increase(counter: pl.DataFrame) -> pl.DataFrame:
    """Per-sample growth of counters: columns ``time_s``, ``target``, ``growth``.

    A counter that went down was reset (its process was replaced): what it shows after that is
    growth, as Prometheus' ``increase`` has it. A series' first sample is where counting begins;
    a retiring replica's goes on from what the same process last showed under its own name.
    """
    ordered = counter.sort("time_s", maintain_order=True)
    own = {
        "own": pl.col("value").shift(1).over(["target", "labels"]),
        "own_s": pl.col("time_s").shift(1).over(["target", "labels"]),
    }
    # A replica may retire more than once: an earlier retirement's samples are another process's.
    same = pl.col("own").is_not_null() & (
        pl.col("before_s").is_null() | (pl.col("own_s") >= pl.col("before_s"))
    )
    grown = (
        pl.when(pl.col("previous").is_null())
        .then(0.0)
        .when(pl.col("value") < pl.col("previous"))
        .then(pl.col("value"))
        .otherwise(pl.col("value") - pl.col("previous"))
    )
    return (
        ordered.with_columns(**own, **_before_retiring(ordered))
        .with_columns(previous=pl.when(same).then(pl.col("own")).otherwise(pl.col("before")))
        .select("time_s", "target", growth=grown)
    )


def _before_retiring(ordered: pl.DataFrame) -> dict[str, pl.Series]:
    """For each sample of a retiring target, the last that its replica showed before it, and when.

    Columns ``before`` and ``before_s``, null for all other targets.
    """
    name = pl.col("target").str.strip_suffix(RETIRING)
    retiring = ordered.filter(pl.col("target").str.ends_with(RETIRING))
    replicas = ordered.filter(pl.col("target").is_in(retiring.select(name)["target"].to_list()))
    found = ordered.with_columns(target=name).join_asof(
        replicas.select("time_s", "target", "labels", before="value", before_s="time_s"),
        on="time_s",
        by=["target", "labels"],
        allow_exact_matches=False,
        check_sortedness=False,
    )
    is_retiring = ordered["target"].str.ends_with(RETIRING)
    return {
        column: pl.select(pl.when(is_retiring).then(found[column]))[column]
        for column in ("before", "before_s")
    }


def total_increase(
    samples: pl.DataFrame, metric: str, labels: str = "", *, begin_s: float, end_s: float
) -> float | None:
    """Growth of a counter over all targets between two replay seconds; None without samples."""
    found = increase(series(samples, metric, labels))
    inside = found.filter((pl.col("time_s") > begin_s) & (pl.col("time_s") <= end_s))
    # fsum: the same bits whatever the order, so that the verdict is the same bytes.
    return math.fsum(inside["growth"]) if inside.height else None


def steepest_increase(samples: pl.DataFrame, metric: str) -> float:
    """The most that a counter of one target grew from one sample to the next; 0 without any."""
    growth = increase(series(samples, metric))["growth"].max()
    return float(growth) if isinstance(growth, int | float) else 0.0


@dataclass(frozen=True, slots=True)
class PoolMoments:
    """Replay seconds at which something was first seen; None when it never was."""

    first_waiter_s: float | None
    first_timeout_s: float | None


def first_moments(samples: pl.DataFrame, since_s: float) -> PoolMoments:
    """First waiter and first pool timeout at or after ``since_s``.

    Before the surge a waiter for a moment is a healthy queue's business, so it is not looked for.
    """
    waiting = series(samples, PENDING).filter((pl.col("value") > 0) & (pl.col("time_s") >= since_s))
    timed_out = increase(series(samples, TIMEOUTS)).filter(
        (pl.col("growth") > 0) & (pl.col("time_s") >= since_s)
    )
    return PoolMoments(_first(waiting), _first(timed_out))


def pool_totals(samples: pl.DataFrame) -> pl.DataFrame:
    """Sums over all replicas and pools for each whole second.

    Columns ``second``, ``used``, ``idle``, ``pending``, ``limit``, ``targets`` (how many were
    seen); each target counts with its last sample in that second.
    """
    wanted = {
        "used": series(samples, COUNT, 'state="used"'),
        "idle": series(samples, COUNT, 'state="idle"'),
        "pending": series(samples, PENDING),
        "limit": series(samples, LIMIT),
    }
    long = pl.concat([frame.with_columns(what=pl.lit(name)) for name, frame in wanted.items()])
    latest = (
        long.with_columns(second=pl.col("time_s").floor().cast(pl.Int64))
        .group_by("second", "target", "labels", "what", maintain_order=True)
        .agg(pl.col("value").last())
    )
    sums = latest.group_by("second", maintain_order=True).agg(
        *[pl.col("value").filter(pl.col("what") == name).sum().alias(name) for name in wanted],
        targets=pl.col("target").n_unique(),
    )
    return sums.sort("second")


def hold_time_s(samples: pl.DataFrame, begin_s: float, end_s: float) -> float | None:
    """Mean seconds for which one successful login holds connections, over all its checkouts.

    *Δ Σ use time / Δ successful logins* between two replay seconds; None without logins.
    """
    used_s = total_increase(samples, USE_SUM, begin_s=begin_s, end_s=end_s)
    logins = total_increase(samples, LOGINS, 'outcome="success"', begin_s=begin_s, end_s=end_s)
    return used_s / logins if used_s and logins else None


def capacity(
    recording: Recording, calm: tuple[float, float], busy: tuple[float, float]
) -> Capacity:
    """Predicted against measured capacity, in logins per second.

    Predicted: *Σ pool limit / hold time* (Little's law, L = λ W, with L at the limit), the hold
    time taken from the healthy stretch ``calm``. Measured: logins that succeeded per second of
    the stretch ``busy`` (replay seconds), over those seconds in which every pool was full and
    somebody waited; None when that was never so for five seconds. A pool without a limit (+Inf)
    is never full and predicts nothing.
    """
    samples = recording.samples
    totals = pool_totals(samples)
    inside = totals.filter((pl.col("second") >= busy[0]) & (pl.col("second") < busy[1] - 1))
    full = inside.filter(
        (pl.col("limit") > 0) & (pl.col("used") >= pl.col("limit") * 0.9) & (pl.col("pending") > 0)
    )
    hold_s = hold_time_s(samples, *calm)
    limit = full["limit"].median() if full.height else totals["limit"].max()
    finite = isinstance(limit, int | float) and math.isfinite(limit)
    predicted = float(limit) / hold_s if hold_s and finite else None  # type: ignore[arg-type]
    measured = None
    if full.height >= 5:
        seconds = full["second"].to_list()
        done = recording.requests.filter(pl.col("outcome") == "ok")["done_s"]
        in_full_seconds = done.floor().cast(pl.Int64).is_in(seconds).sum()
        measured = int(in_full_seconds) / len(seconds)
    return Capacity(
        predicted_per_s=None if not predicted else rounded(predicted),
        measured_per_s=None if measured is None else rounded(measured),
    )


def _first(frame: pl.DataFrame) -> float | None:
    return float(frame["time_s"].min()) if frame.height else None  # type: ignore[arg-type]
