"""Counts of seconds by upper bound, cheap enough for a connection pool's fast path."""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

LADDER_S = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0, 45.0, 60.0),
)
FOLD_AT = 512


def bucket_bounds(timeout_s: float | None) -> tuple[float, ...]:
    """The upper bounds in seconds, without the last (+Inf), reaching past a pool's timeout.

    One ladder for every pool, longer only where the timeout demands it: buckets of different
    layouts cannot be summed over replicas. A last bound below the timeout would put every request
    that timed out into +Inf, where no quantile can be told.
    """
    bounds = list(LADDER_S)
    while timeout_s is not None and math.isfinite(timeout_s) and bounds[-1] <= timeout_s:
        bounds.append(bounds[-1] * 2)
    return tuple(bounds)


@dataclass(frozen=True, slots=True)
class HistogramState:
    """``cumulative[i]`` of the observations were at most ``bounds[i]`` seconds; in all, ``sum``."""

    bounds: tuple[float, ...]
    cumulative: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """How many observations there were."""
        return self.cumulative[-1]


class Histogram:
    """A histogram whose observation is one append; the counting is done for many at once.

    prometheus_client's own walks its buckets one by one and takes two locks an observation, which
    costs more than the rest of a checkout's books.
    """

    __slots__ = ("_bounds", "_cumulative", "_fresh", "_lock", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = (*bounds, math.inf)
        self._cumulative = [0] * len(self._bounds)
        self._sum = 0.0
        self._fresh: deque[float] = deque()
        self._lock = threading.Lock()

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._fresh.append(seconds)
        # Never blocks, for two reasons: whoever holds the lock is counting anyway, and the garbage
        # collector may return a leaked connection, and so observe its use, on the very thread
        # that is counting.
        if len(self._fresh) >= FOLD_AT and self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def state(self) -> HistogramState:
        """Everything observed so far."""
        with self._lock:
            self._fold()
            return HistogramState(self._bounds, tuple(self._cumulative), self._sum)

    def _fold(self) -> None:
        # Only the holder of the lock pops, so what len() saw is still there.
        batch = [self._fresh.popleft() for _ in range(len(self._fresh))]
        batch.sort()
        for index, bound in enumerate(self._bounds):
            self._cumulative[index] += bisect_right(batch, bound)
        self._sum += sum(batch)
