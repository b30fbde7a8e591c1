"""What became of the load's workers: their shards, their clocks, and what went with a lost one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from harness.recording import Recording, TimelineEvent

JOINED_OR_LEFT = "load-worker"
LOST = "load-worker-lost"


@dataclass(frozen=True, slots=True)
class WentWith:
    """Arrivals of whose end nothing is known; numbers and intended replay seconds."""

    count: int
    first: int
    last: int
    first_s: float
    last_s: float


@dataclass(frozen=True, slots=True)
class LoadWorker:
    """One worker of the load's master, as far as the recording tells.

    ``clock_error_s`` bounds by how much its instants may be off, in seconds: the uncertainty of its
    clock's offset at the beginning, and how far it was from that at the end, with the uncertainty
    of the end. None where one of the two was not measured. ``went_with_it`` is None where nothing
    went, or where it was not lost.
    """

    name: str
    shard: int
    joined: bool
    left: bool
    lost: str
    lost_s: float | None
    uncertainty_s: float | None
    drift_s: float | None
    clock_error_s: float | None
    went_with_it: WentWith | None


def load_workers(recording: Recording) -> tuple[LoadWorker, ...]:
    """Every worker that the load was to have, in the order of their shards.

    Empty where it had no master. A worker of which the recording says nothing has not joined.
    """
    load = recording.environment.get("load")
    count = load.get("workers", 0) if isinstance(load, Mapping) else 0
    return tuple(_worker(recording, shard, count) for shard in range(count))


def _worker(recording: Recording, shard: int, shards: int) -> LoadWorker:
    events = [
        event
        for event in recording.events
        if event.name in (JOINED_OR_LEFT, LOST) and event.detail.get("shard") == shard
    ]
    begin, end = _detail(events, JOINED_OR_LEFT, "begin"), _detail(events, JOINED_OR_LEFT, "end")
    lost = _detail(events, LOST, "at")
    said = begin or end or lost or {}
    uncertainty_s: float | None = (begin or {}).get("clock_uncertainty_s")
    drift_s: float | None = (end or {}).get("clock_drift_s")
    error_s = None
    if uncertainty_s is not None and drift_s is not None and end is not None:
        error_s = max(uncertainty_s, abs(drift_s) + end["clock_uncertainty_s"])
    return LoadWorker(
        name=said.get("worker", f"of shard {shard}"),
        shard=shard,
        joined=begin is not None,
        left=end is not None,
        lost=lost["why"] if lost else "",
        lost_s=lost.get("at_s") if lost else None,
        uncertainty_s=uncertainty_s,
        drift_s=drift_s,
        clock_error_s=error_s,
        went_with_it=_went_with(recording, shard, shards) if lost else None,
    )


def _detail(events: list[TimelineEvent], name: str, state: str) -> Mapping[str, Any] | None:
    for event in events:
        if event.name == name and event.state == state:
            return event.detail
    return None


def _went_with(recording: Recording, shard: int, shards: int) -> WentWith | None:
    """The shard's arrivals without any attempt, or whose last attempt's end was never heard."""
    last = recording.requests.sort("arrival", "attempt").group_by("arrival").last()
    gone = (
        recording.arrivals.filter(pl.col("arrival") % shards == shard)
        .join(last.select("arrival", "outcome"), on="arrival", how="left")
        .filter(pl.col("outcome").is_null() | (pl.col("outcome") == "in_flight_at_end"))
        .sort("arrival")
    )
    if gone.is_empty():
        return None
    numbers, instants = gone["arrival"].to_list(), gone["intended_s"].to_list()
    return WentWith(gone.height, numbers[0], numbers[-1], min(instants), max(instants))
