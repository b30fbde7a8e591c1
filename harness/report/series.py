"""A recording as series over replay time, for charts. Pure; values are per bin of equal width.

Where nothing was measured a value is null, which a chart shows as a gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from harness import measurements
from harness.measurements.pools import COUNT, LIMIT, PENDING, TIMEOUTS, increase, series
from harness.recording import BUCKETS, Recording

MOST_BINS = 240
"""Bins in a chart at most: past that, a bar is thinner than a pixel is wide on paper."""

LATENCY_EDGES_S = tuple(10 ** (exponent / 8) for exponent in range(-16, 14))
"""Edges of the latency heat map: eight a decade, 10 ms to about 42 s."""

MAX_CONNECTIONS = "pg_settings_max_connections"
ACTIVITY = "pg_stat_activity_count"


@dataclass(frozen=True)
class Bins:
    """Equal bins over [0, end_s) of replay time."""

    width_s: float
    count: int

    @property
    def starts_s(self) -> list[float]:
        return [number * self.width_s for number in range(self.count)]

    @property
    def mids_s(self) -> list[float]:
        return [(number + 0.5) * self.width_s for number in range(self.count)]

    def index(self, column: str) -> pl.Expr:
        """The bin of a column of replay seconds."""
        return (pl.col(column) / self.width_s).floor().cast(pl.Int64).alias("bin")

    def spread(self, frame: pl.DataFrame, value: str, empty: float | None) -> list[float | None]:
        """``value`` of ``frame`` by its column ``bin``; ``empty`` where a bin has none."""
        known = dict(frame.select("bin", value).iter_rows())
        return [known.get(number, empty) for number in range(self.count)]


def bins_for(length_s: float) -> Bins:
    """Whole seconds, as few as keep the number of bins below `MOST_BINS`."""
    width_s = max(1, math.ceil(length_s / MOST_BINS))
    return Bins(float(width_s), max(1, math.ceil(length_s / width_s)))


def outcomes_per_s(recording: Recording, bins: Bins) -> dict[str, list[float | None]]:
    """Arrivals per second by the bucket in which they ended, at the instant they were intended.

    Only buckets that occurred. A second without an arrival is a measured 0, for the schedule is
    known; what a partial run did not reach counts as ``shed_by_generator``.
    """
    counted = (
        measurements.arrival_table(recording)
        .with_columns(bins.index("intended_s"))
        .group_by("bin", "bucket")
        .agg(per_s=pl.len() / bins.width_s)
    )
    return {
        bucket: bins.spread(found, "per_s", 0.0)
        for bucket in BUCKETS
        if (found := counted.filter(pl.col("bucket") == bucket)).height
    }


def completed_per_s(recording: Recording, bins: Bins) -> list[float | None]:
    """Successful logins per second at the instant they were answered."""
    good = recording.requests.filter(pl.col("outcome") == "ok")
    counted = (
        good.with_columns(bins.index("done_s")).group_by("bin").agg(per_s=pl.len() / bins.width_s)
    )
    return _measured_only(recording, bins, bins.spread(counted, "per_s", 0.0))


@dataclass(frozen=True)
class LatencySeries:
    """Latency of successful logins from the intended instant, by the bin of that instant."""

    p50_s: list[float | None]
    p95_s: list[float | None]
    p99_s: list[float | None]
    heat: list[list[int]]
    """Logins by latency band (`LATENCY_EDGES_S`) and bin."""


def latency(recording: Recording, bins: Bins) -> LatencySeries:
    """Quantiles and heat map of the latency of successful logins."""
    good = (
        measurements.arrival_table(recording)
        .filter(pl.col("bucket") == "ok")
        .with_columns(bins.index("intended_s"), latency_s=pl.col("ended_s") - pl.col("intended_s"))
    )
    quantiles = good.group_by("bin").agg(
        *[
            pl.col("latency_s").quantile(q, interpolation="nearest").alias(name)
            for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        ]
    )
    first, step = math.log10(LATENCY_EDGES_S[0]), 1 / 8
    bands = len(LATENCY_EDGES_S) - 1
    band = (((pl.col("latency_s").log10() - first) / step).floor()).clip(0, bands - 1)
    heat = [[0] * bins.count for _ in range(bands)]
    cells = good.with_columns(band=band.cast(pl.Int64)).group_by("band", "bin").len()
    for row, column, count in cells.iter_rows():
        if 0 <= column < bins.count:
            heat[row][column] = count
    return LatencySeries(
        bins.spread(quantiles, "p50", None),
        bins.spread(quantiles, "p95", None),
        bins.spread(quantiles, "p99", None),
        heat,
    )


@dataclass(frozen=True)
class PoolSeries:
    """What one target's pools showed, summed over its pools; null where it was not seen."""

    used: list[float | None]
    limit: list[float | None]
    pending: list[float | None]
    timeouts_per_s: list[float | None]


def pools(recording: Recording, bins: Bins) -> dict[str, PoolSeries]:
    """Pool series by target, in the order of their names; empty when no pool was measured."""
    samples = recording.samples
    targets = sorted(series(samples, COUNT)["target"].unique().to_list())
    return {target: _pool(samples.filter(pl.col("target") == target), bins) for target in targets}


def _pool(samples: pl.DataFrame, bins: Bins) -> PoolSeries:
    grown = increase(series(samples, TIMEOUTS)).with_columns(bins.index("time_s"))
    per_s = grown.group_by("bin", maintain_order=True).agg(
        per_s=pl.col("growth").sum() / bins.width_s
    )
    return PoolSeries(
        used=_gauge(series(samples, COUNT, 'state="used"'), bins),
        limit=_gauge(series(samples, LIMIT), bins),
        pending=_gauge(series(samples, PENDING), bins),
        timeouts_per_s=bins.spread(per_s, "per_s", None),
    )


def connections(recording: Recording, bins: Bins) -> dict[str, list[float | None]]:
    """Database sessions by state, over all roles; empty when the database was not measured."""
    found = series(recording.samples, ACTIVITY).with_columns(
        state=pl.col("labels").str.extract(r'state="([^"]*)"')
    )
    states = sorted(found["state"].drop_nulls().unique().to_list())
    by_state = {
        state: _gauge(found.filter(pl.col("state") == state).drop("state"), bins)
        for state in states
    }
    return {state: values for state, values in by_state.items() if any(values)}


def max_connections(recording: Recording) -> float | None:
    """The database's own limit, as it was sampled."""
    found = series(recording.samples, MAX_CONNECTIONS)["value"]
    return float(found[-1]) if len(found) else None


def unseen(recording: Recording, bins: Bins) -> dict[str, list[tuple[float, float]]]:
    """Stretches of replay time in which a part that was to be scraped was not seen, by target."""
    up = recording.samples.filter((pl.col("metric") == "up") & (pl.col("value") == 1))
    wanted = [*recording.incident.service.replica_names, "gateway", "postgres"]
    end_s = recording.info.end_s or 0.0
    gaps: dict[str, list[tuple[float, float]]] = {}
    for target in wanted:
        seen = set(
            up.filter(pl.col("target") == target).select(bins.index("time_s")).to_series().to_list()
        )
        dark = [n for n in range(bins.count) if n not in seen and n * bins.width_s < end_s]
        gaps[target] = _stretches(dark, bins.width_s)
    return {target: stretches for target, stretches in gaps.items() if stretches}


def _stretches(numbers: list[int], width_s: float) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for number in numbers:
        begin_s = number * width_s
        if found and found[-1][1] == begin_s:
            found[-1] = (found[-1][0], begin_s + width_s)
        else:
            found.append((begin_s, begin_s + width_s))
    return found


def _gauge(samples: pl.DataFrame, bins: Bins) -> list[float | None]:
    """Sum over label sets of each one's mean in the bin; +Inf (no limit) has no place in it."""
    summed = (
        samples.filter(pl.col("value").is_finite())
        .with_columns(bins.index("time_s"))
        .group_by("bin", "target", "labels", maintain_order=True)
        .agg(pl.col("value").mean())
        .group_by("bin", maintain_order=True)
        .agg(pl.col("value").sum())
    )
    return bins.spread(summed, "value", None)


def _measured_only(
    recording: Recording, bins: Bins, values: list[float | None]
) -> list[float | None]:
    """``values`` up to the run's end, null behind it."""
    end_s = recording.info.end_s
    if end_s is None:
        return values
    return [
        value if start_s < end_s else None
        for value, start_s in zip(values, bins.starts_s, strict=True)
    ]
