"""The arrivals that this process plays, and the clock it plays them by."""

from __future__ import annotations

import csv
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ["arrival", "user", "intended_s"]


@dataclass(frozen=True)
class Schedule:
    """Arrivals in the order of their intended instants, as compact as they come."""

    arrivals: array[int]
    users: array[int]
    intended_s: array[float]

    def __len__(self) -> int:
        return len(self.arrivals)

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        return zip(self.arrivals, self.users, self.intended_s, strict=True)


def read_schedule(path: Path, *, shard: int, shards: int) -> Schedule:
    """The arrivals of the CSV with ``arrival % shards == shard``.

    Raises ValueError for other columns and for arrivals that are not sorted by intended instant.
    """
    schedule = Schedule(array("q"), array("q"), array("d"))
    with path.open(encoding="ascii", newline="") as file:
        rows = csv.reader(file)
        if next(rows, None) != COLUMNS:
            raise ValueError(f"{path.name}: the columns must be {','.join(COLUMNS)}")
        before_s = 0.0
        for arrival_text, user_text, intended_text in rows:
            arrival, intended_s = int(arrival_text), float(intended_text)
            if intended_s < before_s:
                raise ValueError(f"{path.name}: arrival {arrival} comes before the one above it")
            before_s = intended_s
            if arrival % shards == shard:
                schedule.arrivals.append(arrival)
                schedule.users.append(int(user_text))
                schedule.intended_s.append(intended_s)
    return schedule


class ReplayClock:
    """Seconds since t0, by the monotonic clock: a wall clock set meanwhile cannot tear it."""

    def __init__(self, t0_epoch: float) -> None:
        self._t0 = time.monotonic() + (t0_epoch - time.time())

    def now_s(self) -> float:
        """Replay time; negative before t0."""
        return time.monotonic() - self._t0
