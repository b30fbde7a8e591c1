"""From a recording to the series that a scraper would have stored over the whole incident.

A replay plays disturbances at true speed and shortens plateaus. Rules think in minutes and hours,
so the recording is stretched back by its own time map before a rule sees it:

* Where the map has slope 1, a scrape takes the last one-second sample.
* Where it is steeper, a plateau's second stands for many scrapes. The plateau is cut into blocks
  of about ``BLOCK_S`` seconds. In a block counters grow evenly at the block's measured rate, and
  each scrape takes one of the block's samples in turn: a single odd second does not stand for
  minutes, and a queue that comes and goes still comes and goes.

Two things are added, both made of measured seconds, both named in what is reported:

* the **lead-in**: the baseline before the first disturbance, held for as long as the longest
  window of the rules, because a rule in production has a past to look at;
* **holds**: a stretch that was played at true speed and whole, and had become stationary, is held
  for ``hold_s`` before the next disturbance. A catalogue incident of a minute says nothing about
  ``for: 5m`` otherwise. Long incidents have long plateaus and need no hold.

What results is *lab time*: incident time, with what was held added where it was held.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from harness.alerts.series import NAME, Grid, Labels, SeriesTable, labels_of
from harness.incident import Incident
from harness.recording import Recording
from harness.timemap import TimeMap, build_timemap

BLOCK_S = 5.0
"""Seconds of a plateau that are averaged: long beside a scrape, short beside a ramp."""

MISSED_S = 1.6
"""A sample older than this is not the present one: the recorder looks once a second."""

HOLD_AT_LEAST_S = 8.0
"""A stretch of fewer seconds has not become stationary."""

WINDOW_S = 10.0
"""How many of a stretch's last seconds are held at most; of a short one its second half."""

JOBS = {"machine": "node", "exporter": "postgres"}
"""The ``job`` of targets that are not called by it; replicas and backups are ``auth``."""

_SERVICE = re.compile(r"(replica|backup)-")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of lab time and the stretch of replay time that is shown in it.

    ``weight`` is lab seconds for one replay second; ``held`` says that these seconds of the replay
    are shown a second time.
    """

    lab_s: float
    lab_end_s: float
    replay_s: float
    replay_end_s: float
    held: bool = False

    @property
    def weight(self) -> float:
        return (self.lab_end_s - self.lab_s) / (self.replay_end_s - self.replay_s)


@dataclass(frozen=True)
class LabTime:
    """Replay time to lab time, by segments without gaps."""

    segments: tuple[Segment, ...]
    timemap: TimeMap

    @property
    def start_s(self) -> float:
        return self.segments[0].lab_s

    @property
    def end_s(self) -> float:
        return self.segments[-1].lab_end_s

    @property
    def held_s(self) -> float:
        """Lab seconds that show a part of the replay for a second time."""
        return sum(each.lab_end_s - each.lab_s for each in self.segments if each.held)

    def from_replay_s(self, replay_s: float) -> float:
        """The lab second at which this second of the replay is shown first."""
        real = [segment for segment in self.segments if not segment.held]
        index = bisect_right([segment.replay_s for segment in real], replay_s) - 1
        segment = real[max(0, index)]
        return segment.lab_s + (replay_s - segment.replay_s) * segment.weight

    def from_incident_s(self, incident_s: float) -> float:
        """The lab second of an instant of the incident."""
        return self.from_replay_s(self.timemap.to_replay_s(incident_s))


@dataclass(frozen=True)
class Expanded:
    """A recording at length."""

    table: SeriesTable
    time: LabTime


def lab_time(
    incident: Incident, *, full_length: bool = False, hold_s: float = 0.0, lead_in_s: float = 0.0
) -> LabTime:
    """Segments for an incident's replay; ``hold_s`` and ``lead_in_s`` are lab seconds."""
    timemap = build_timemap(incident, full_length=full_length)
    starts = sorted({0.0, *(at_s for at_s, _, _ in incident.disturbances())})
    starts = [at_s for at_s in starts if at_s < timemap.incident_length_s]
    ends = [*starts[1:], timemap.incident_length_s]
    segments: list[Segment] = []
    lab_s = -lead_in_s
    for begin_s, end_s in zip(starts, ends, strict=True):
        first, length_s = begin_s == starts[0], end_s - begin_s
        pieces = list(_pieces(timemap, begin_s, end_s))
        replay_end_s = timemap.to_replay_s(end_s)
        window_s = min(WINDOW_S, (replay_end_s - timemap.to_replay_s(begin_s)) / 2)
        settled = (replay_end_s - window_s, replay_end_s)
        if first and lead_in_s > 0:
            segments.append(Segment(lab_s, lab_s + lead_in_s, *settled, held=True))
            lab_s += lead_in_s
        for piece_begin_s, piece_end_s, weight in pieces:
            replay_s = timemap.to_replay_s(piece_begin_s)
            piece_s = piece_end_s - piece_begin_s
            segments.append(Segment(lab_s, lab_s + piece_s, replay_s, replay_s + piece_s / weight))
            lab_s += piece_s
        whole = all(abs(weight - 1.0) < 1e-9 for *_, weight in pieces)
        if hold_s > 0 and whole and not first and length_s >= HOLD_AT_LEAST_S:
            segments.append(Segment(lab_s, lab_s + hold_s, *settled, held=True))
            lab_s += hold_s
    return LabTime(tuple(segments), timemap)


def _pieces(timemap: TimeMap, begin_s: float, end_s: float) -> Iterator[tuple[float, float, float]]:
    """``(begin_s, end_s, weight)`` of the map between two incident seconds."""
    knots = timemap.knots
    for knot, following in pairwise(knots):
        low, high = max(knot.incident_s, begin_s), min(following.incident_s, end_s)
        if high > low:
            yield low, high, knot.weight


def expand(
    recording: Recording,
    *,
    scrape_s: float = 15.0,
    hold_s: float = 0.0,
    lead_in_s: float = 0.0,
    wanted: Callable[[str], bool] | None = None,
) -> Expanded:
    """``recording`` as a scraper with that interval would have stored it.

    ``wanted`` says which metrics are kept, by name; all of them without it.
    """
    time = lab_time(
        recording.incident,
        # An import was recorded at true speed, as a full-length run is.
        full_length=recording.info.source in ("full-length", "twin", "import"),
        hold_s=hold_s,
        lead_in_s=lead_in_s,
    )
    # Whole scrapes before and behind zero, so that an incident's instants fall on the grid.
    first = int(np.ceil(time.start_s / scrape_s - 1e-9))
    last = int(np.floor(time.end_s / scrape_s + 1e-9))
    grid = Grid(first * scrape_s, scrape_s, max(0, last - first + 1))
    samples = recording.samples
    if wanted is not None:
        names = [name for name in samples["metric"].unique() if wanted(name)]
        samples = samples.filter(pl.col("metric").is_in(names))
    # An import's samples stand at whole steps: one as old as a step is not the present one.
    missed_s = max(MISSED_S, sampled_s(recording) - 0.001)
    counters = counter_names(recording.samples["metric"].unique())
    labels: list[Labels] = []
    values: list[NDArray[np.float64]] = []
    present: list[NDArray[np.bool_]] = []
    for (target,), part in samples.group_by("target", maintain_order=True):
        found = _Target(part, str(target), time, grid, counters, missed_s)
        labels += found.labels
        values.append(found.values)
        present.append(found.present)
    empty = np.empty((0, grid.count))
    table = SeriesTable(
        grid,
        tuple(labels),
        np.concatenate(values) if values else empty,
        np.concatenate(present) if present else empty.astype(bool),
    )
    return Expanded(replace_empty(table), time)


def sampled_s(recording: Recording) -> float:
    """Seconds between two samples: the step of an import, else one."""
    return float(recording.environment.get("import", {}).get("step_s", 1.0))


def replace_empty(table: SeriesTable) -> SeriesTable:
    """Without series that are nowhere present."""
    return table.select(np.any(table.present, axis=1, keepdims=True)[:, 0])


def counter_names(metrics: Iterable[str]) -> frozenset[str]:
    """Which of these metrics only grow, by OpenMetrics' suffixes and postgres_exporter's habits.

    ``_count`` alone proves nothing (``pg_stat_activity_count`` is a gauge): it is a counter where
    ``_bucket`` or ``_sum`` stand beside it.
    """
    names = set(metrics)
    histograms = {name.removesuffix("_sum") for name in names if name.endswith("_sum")}
    return frozenset(
        name
        for name in names
        if name.endswith(("_total", "_bucket", "_sum"))
        or (name.endswith("_count") and name.removesuffix("_count") in histograms)
        or name.startswith("pg_stat_database_xact_")
    )


def labels_from_text(text: str) -> dict[str, str]:
    """``a="b",c="d"`` as ``samples.parquet`` spells labels."""
    return {
        name: re.sub(r'\\[\\"n]', lambda found: _ESCAPES[found.group()], value)
        for name, value in _LABEL.findall(text)
    }


def series_labels(target: str, metric: str, text: str) -> Labels:
    """What Prometheus would call a series of the recording."""
    own = labels_from_text(text)
    job = "auth" if _SERVICE.match(target) else JOBS.get(target, target)
    return labels_of({"job": job, "instance": target, **own, NAME: metric})


class _Target:
    """The series of one target on the grid."""

    def __init__(
        self,
        samples: pl.DataFrame,
        target: str,
        time: LabTime,
        grid: Grid,
        counters: frozenset[str],
        missed_s: float,
    ) -> None:
        keys = samples.select("metric", "labels").unique(maintain_order=True)
        times = samples["time_s"].unique().sort().to_numpy()
        tick_of = pl.DataFrame({"time_s": times, "tick": np.arange(len(times))})
        key_of = keys.with_columns(key=pl.int_range(pl.len()))
        placed = samples.join(tick_of, on="time_s").join(key_of, on=["metric", "labels"])
        raw = np.full((keys.height, len(times)), np.nan)
        there = np.zeros((keys.height, len(times)), dtype=bool)
        rows, columns = placed["key"].to_numpy(), placed["tick"].to_numpy()
        raw[rows, columns] = placed["value"].to_numpy()
        there[rows, columns] = True

        self.labels = [series_labels(target, *key) for key in keys.iter_rows()]
        index = _shown_ticks(time, grid, times, missed_s)
        shown = np.maximum(index, 0)
        self.values = raw[:, shown]
        self.present = there[:, shown] & (index >= 0)
        growing = np.array([metric in counters for metric in keys["metric"]], dtype=bool)
        if growing.any():
            counted = there[growing] & ~np.isnan(raw[growing])
            grown = _grown(raw[growing], counted, time, grid, times)
            # A NaN is a sample like any other: it neither grows nor ends the counter.
            self.values[growing] = np.where(
                np.isnan(self.values[growing]), self.values[growing], grown
            )


def _shown_ticks(
    time: LabTime, grid: Grid, times: NDArray[np.float64], missed_s: float
) -> NDArray[np.int64]:
    """Which tick each scrape shows, shape (grid.count,); -1 where the target was not seen."""
    instants = grid.instants_s()
    index = np.full(grid.count, -1, dtype=np.int64)
    for segment in time.segments:
        here = np.flatnonzero(_within(instants, segment, time))
        if not len(here):
            continue
        replay_s = segment.replay_s + (instants[here] - segment.lab_s) / segment.weight
        if abs(segment.weight - 1.0) < 1e-9:
            last = np.searchsorted(times, replay_s + 1e-9, side="right") - 1
            fresh = (last >= 0) & (replay_s - times[np.maximum(last, 0)] <= missed_s)
            index[here] = np.where(fresh, last, -1)
            continue
        for begin_s, end_s in _blocks(segment):
            inside = here[(replay_s >= begin_s - 1e-9) & (replay_s < end_s - 1e-9)]
            low, high = np.searchsorted(times, [begin_s, end_s])
            if high > low:
                index[inside] = low + np.arange(len(inside)) % (high - low)
    return index


def _grown(
    raw: NDArray[np.float64],
    there: NDArray[np.bool_],
    time: LabTime,
    grid: Grid,
    times: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Counters on the grid: what they grew by in the replay, weighted; resets stay resets."""
    filled = _forward_filled(raw, there)
    steps = np.diff(filled, axis=1, prepend=filled[:, :1])
    resets = steps < 0
    steps = np.where(resets, filled, steps)
    total = filled[:, :1] + np.cumsum(steps, axis=1)

    def at(replay_s: NDArray[np.float64]) -> NDArray[np.float64]:
        last = np.searchsorted(times, replay_s + 1e-9, side="right") - 1
        return total[:, np.maximum(last, 0)]

    instants = grid.instants_s()
    grown = np.zeros((len(raw), grid.count))
    before = total[:, :1].copy()
    for segment in time.segments:
        here = np.flatnonzero(_within(instants, segment, time))
        replay_s = segment.replay_s + (instants[here] - segment.lab_s) / segment.weight
        ends = np.array([segment.replay_s, segment.replay_end_s])
        if abs(segment.weight - 1.0) < 1e-9:
            shown = at(replay_s) - at(ends[:1])
        else:
            edges = np.array([segment.replay_s, *(end for _, end in _blocks(segment))])
            shown = _between(edges, at(edges), replay_s) - at(ends[:1])
        grown[:, here] = before + segment.weight * shown
        before = before + segment.weight * (at(ends[1:]) - at(ends[:1]))
    for row, tick in zip(*np.nonzero(resets), strict=True):
        begin = np.searchsorted(instants, time.from_replay_s(float(times[tick])) - 1e-9)
        if begin < grid.count:
            grown[row, begin:] -= grown[row, begin] - filled[row, tick]
    return grown


def _between(
    edges: NDArray[np.float64], values: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Linear interpolation of each row of ``values``, given at ``edges``, at ``at``."""
    right = np.clip(np.searchsorted(edges, at, side="right"), 1, len(edges) - 1)
    share = (at - edges[right - 1]) / (edges[right] - edges[right - 1])
    return values[:, right - 1] + share * (values[:, right] - values[:, right - 1])


def _forward_filled(raw: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Each gap takes the value before it; what comes before the first value takes that."""
    columns = np.arange(raw.shape[1])
    last = np.maximum.accumulate(np.where(there, columns, -1), axis=1)
    first = np.argmax(there, axis=1)[:, None]
    filled: NDArray[np.float64] = np.take_along_axis(raw, np.where(last < 0, first, last), axis=1)
    return filled


def _within(instants: NDArray[np.float64], segment: Segment, time: LabTime) -> NDArray[np.bool_]:
    """Which instants fall into the segment; the very last one belongs to the last segment."""
    end_s = np.inf if segment is time.segments[-1] else segment.lab_end_s
    return (instants >= segment.lab_s - 1e-9) & (instants < end_s - 1e-9)


def _blocks(segment: Segment) -> list[tuple[float, float]]:
    """A shortened stretch in equal parts of about BLOCK_S replay seconds."""
    length_s = segment.replay_end_s - segment.replay_s
    count = max(1, round(length_s / BLOCK_S))
    edges = np.linspace(segment.replay_s, segment.replay_end_s, count + 1)
    edges[-1] += 1e-6  # the end belongs to the last block
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
