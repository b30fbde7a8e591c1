"""When things happened, in incident seconds. Pure functions of a recording."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import polars as pl

from harness.incident import Slo
from harness.measurements.model import Clocks
from harness.measurements.pools import first_moments
from harness.recording import Recording, TimelineEvent
from harness.timemap import TimeMap

MIN_ENDED = 20
"""Fewer logins than this in a window are too few to speak of a breach."""


@dataclass(frozen=True, slots=True)
class Breach:
    """Replay seconds at which the SLO was first broken, and since when it held to the end."""

    begin_s: float | None
    recovered_s: float | None


def slo_breach(table: pl.DataFrame, slo: Slo, patience_s: float) -> Breach:
    """The SLO over a sliding window of whole seconds.

    A login counts in the second in which it ended, as good when it succeeded within
    ``slo.latency_s`` of its intended instant. One that never ended counts as bad when the user's
    patience was over. The window ending with second *t* is in breach when *good / ended <
    slo.success*. Recovery is the end of the last window in breach, None if that is the last
    window of all.
    """
    per_second = (
        table.with_columns(
            second=pl.coalesce("ended_s", pl.col("intended_s") + patience_s).floor().cast(pl.Int64),
            good=pl.col("in_time") & (pl.col("ended_s") - pl.col("intended_s") <= slo.latency_s),
        )
        .group_by("second", maintain_order=True)
        .agg(ended=pl.len(), good=pl.col("good").sum())
        .sort("second")
    )
    if not per_second.height:
        return Breach(None, None)
    window = f"{max(1, round(slo.window_s))}i"
    rolled = per_second.rolling("second", period=window).agg(
        pl.col("ended").sum(), pl.col("good").sum()
    )
    counted = rolled.filter(pl.col("ended") >= MIN_ENDED).with_columns(
        bad=pl.col("good") < slo.success * pl.col("ended")
    )
    bad = counted.filter("bad")["second"]
    if not len(bad):
        return Breach(None, None)
    last_bad, last = int(bad[-1]), int(counted["second"][-1])
    return Breach(float(bad[0]), float(last_bad + 1) if last_bad < last else None)


def detected_s(recording: Recording) -> float | None:
    """Replay second of the timeline's detection, as the document tells it."""
    for event in recording.events:
        if event.detail.get("clock") == "detected":
            return event.t_s
    return None


def fix_events(recording: Recording) -> list[TimelineEvent]:
    """The begin and end events of actions that are meant to end the outage."""
    return [
        event for event in recording.events if event.kind == "action" and event.detail.get("fix")
    ]


@dataclass(frozen=True, slots=True)
class Decoy:
    """A decoy as it was played: from its first beginning to its last end.

    ``name`` is its kind's, numbered where a kind was played more than once.
    """

    name: str
    begin: TimelineEvent
    end: TimelineEvent


def decoys(recording: Recording) -> list[Decoy]:
    """The decoys that were played to their end; one that takes several steps counts once."""
    found: list[Decoy] = []
    begun: dict[str, TimelineEvent] = {}
    ended: Counter[str] = Counter()
    played: Counter[str] = Counter()
    for event in recording.events:
        if event.kind != "decoy":
            continue
        if event.state == "begin":
            begun.setdefault(event.name, event)
            continue
        ended[event.name] += 1
        if ended[event.name] == event.detail.get("steps", 1):
            ended[event.name] = 0
            played[event.name] += 1
            number = f"-{played[event.name]}" if played[event.name] > 1 else ""
            found.append(Decoy(event.name + number, begun.pop(event.name, event), event))
    return found


def mitigated_s(recording: Recording) -> float | None:
    """Replay second at which the last fixing action was complete; None before it is.

    Its steps may end in any order.
    """
    ended = [event for event in fix_events(recording) if event.state == "end"]
    if not ended:
        return None
    last = ended[-1]
    at_s = last.detail.get("at_s")
    steps = sum(1 for e in ended if e.name == last.name and e.detail.get("at_s") == at_s)
    return last.t_s if steps == last.detail.get("steps", 1) else None


def first_fix_s(recording: Recording) -> float | None:
    """Replay second at which the first fixing action began."""
    return next((e.t_s for e in fix_events(recording) if e.state == "begin"), None)


def surge_s(recording: Recording, timemap: TimeMap) -> float | None:
    """Replay second at which the surge began."""
    surge = recording.incident.surge
    return None if surge is None else timemap.to_replay_s(surge.at_s)


def onset_s(recording: Recording, timemap: TimeMap) -> float:
    """Replay second at which the outage begins by its definition; before it all is calm."""
    return timemap.to_replay_s(recording.incident.outage.begin_s)


def clocks(recording: Recording, table: pl.DataFrame, timemap: TimeMap) -> Clocks:
    """All clocks of `recording` in incident seconds; None where the thing did not happen."""
    surge = surge_s(recording, timemap)
    moments = first_moments(recording.samples, onset_s(recording, timemap))
    patience_s = recording.incident.load.client.patience_s
    breach = slo_breach(table, recording.incident.slo, patience_s)

    def incident(replay_s: float | None) -> float | None:
        return None if replay_s is None else round(timemap.to_incident_s(replay_s), 3)

    return Clocks(
        surge_start=incident(surge),
        first_waiter=incident(moments.first_waiter_s),
        first_pool_timeout=incident(moments.first_timeout_s),
        slo_breach=incident(breach.begin_s),
        detected=incident(detected_s(recording)),
        mitigated=incident(mitigated_s(recording)),
        recovered=incident(breach.recovered_s),
    )
