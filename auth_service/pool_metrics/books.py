"""The books of one pool: who asked for a connection, who got one, who gave up, who has one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from .histogram import Histogram, bucket_bounds

DEFAULT_LEAK_AFTER_S = 60.0
BOOKS = "__pool_metrics__"  # the attribute by which a measured pool leads to its PoolMetrics


@dataclass(frozen=True, slots=True)
class Limits:
    """What a pool is configured to hold, in connections, and how long it lets a request wait.

    ``inf`` where there is no limit; a pool without a queue lets nobody wait (``wait_max_s`` 0).
    """

    open_max: float
    idle_max: float
    idle_min: float
    wait_max_s: float


@dataclass(frozen=True, slots=True)
class PoolState:
    """A pool at one instant. Counts in connections or requests, ages in seconds.

    ``used``: open connections out of the pool; ``idle``: open connections in it; ``opening``:
    being opened; ``pending``: requests that have no open connection yet; ``leaked``: out of the
    pool for longer than anybody can have meant, or lost for good.
    """

    limits: Limits
    used: int
    idle: int
    opening: int
    pending: int
    longest_wait_s: float
    longest_use_s: float
    leaked: int


class Source(Protocol):
    """What the books ask of the pool itself when somebody wants to know its state."""

    def limits(self) -> Limits | None:
        """None when the pool is no more."""

    def idle(self) -> int:
        """Open connections in the pool."""

    def is_open(self, key: Hashable) -> bool:
        """Whether the connection known as ``key`` is open."""


class PoolMetrics:
    """The books of one pool.

    ``wait_time``, ``use_time`` and ``create_time`` are histograms; ``timeouts``,
    ``cancellations``, ``refusals`` and ``create_failures`` only ever grow; ``state()`` is now.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        *,
        release: Callable[[], None],
        timeout_s: float | None,
        leak_after_s: float,
        clock: Callable[[], float],
    ) -> None:
        bounds = bucket_bounds(timeout_s)
        self.name = name
        self.wait_time = Histogram(bounds)
        self.use_time = Histogram(bounds)
        self.create_time = Histogram(bounds)
        self.timeouts = 0
        self.cancellations = 0
        self.refusals = 0
        self.create_failures = 0
        self.last_create_error: str | None = None
        self.leak_after_s = leak_after_s
        self._source = source
        self._release = release
        self._clock = clock
        self._lost = 0
        # Re-entrant: the garbage collector may find a lost connection on any thread at any time.
        self._rare = threading.RLock()
        # Every insertion and removal is one atomic dict operation: the hot path takes no lock, and
        # a reader's list() sees one instant.
        self._requests: dict[object, float] = {}
        self._openings: dict[object, None] = {}
        self._out: dict[Hashable, float | None] = {}

    def requested(self) -> object:
        """A request for a connection begins; the ticket goes back when it ends."""
        ticket = object()
        self._requests[ticket] = self._clock()
        return ticket

    def taken(self, key: Hashable) -> None:
        """The pool took ``key`` out for a request, and may still have to test or replace it."""
        self._out[key] = None

    def granted(self, ticket: object, key: Hashable) -> None:
        """The request has its connection."""
        now = self._clock()
        self.wait_time.observe(now - self._requests.pop(ticket))
        self._out[key] = now

    def timed_out(self, ticket: object) -> None:
        """The pool gave up on the request."""
        self.failed(ticket)
        with self._rare:
            self.timeouts += 1

    def cancelled(self, ticket: object) -> None:
        """The requester gave up: cancellation, interrupt, closed generator."""
        self.failed(ticket)
        with self._rare:
            self.cancellations += 1

    def refused(self, ticket: object) -> None:
        """The pool's queue was full."""
        self.failed(ticket)
        with self._rare:
            self.refusals += 1

    def failed(self, ticket: object) -> None:
        """The request ended without a connection, most often because none could be opened."""
        # Waits in vain count as well: without them the quantiles would improve as callers give up.
        self.wait_time.observe(self._clock() - self._requests.pop(ticket))

    def returned(self, key: Hashable) -> None:
        """``key`` goes back, whichever way: returned, invalidated, detached, collected."""
        began = self._out.pop(key, None)
        # None: it never reached its requester, or it was out before the pool was measured.
        if began is not None:
            self.use_time.observe(self._clock() - began)

    def lost(self, key: Hashable) -> None:
        """``key`` was garbage-collected, and the pool will never know."""
        if self._out.pop(key, None) is not None:
            with self._rare:
                self._lost += 1

    def opening(self) -> Opening:
        """Context in which one connection is opened."""
        return Opening(self)

    def opened(self, ticket: object, began: float, error: BaseException | None) -> None:
        """An attempt at opening a connection ended."""
        del self._openings[ticket]
        if error is None:
            self.create_time.observe(self._clock() - began)
            self.last_create_error = None
        elif isinstance(error, Exception):
            with self._rare:
                self.create_failures += 1
                self.last_create_error = str(error).strip() or type(error).__name__

    def state(self) -> PoolState | None:
        """Count now; None when the pool is no more."""
        limits = self._source.limits()
        if limits is None:
            return None
        now = self._clock()
        out = list(self._out.items())
        begun = [began for _, began in out if began is not None]
        in_test = sum(began is None and self._source.is_open(key) for key, began in out)
        return PoolState(
            limits=limits,
            used=sum(self._source.is_open(key) for key, _ in out),
            idle=self._source.idle(),
            opening=len(self._openings),
            # A request whose connection is being tested has found one: it waits for the database.
            pending=max(0, len(self._requests) - in_test),
            longest_wait_s=now - min(list(self._requests.values()), default=now),
            longest_use_s=now - min(begun, default=now),
            leaked=self._lost + sum(now - began > self.leak_after_s for began in begun),
        )

    def uninstrument(self) -> None:
        """Give the pool back as it was, and stop exporting it."""
        self._release()


class Opening:
    """Times one attempt at opening a connection."""

    __slots__ = ("_began", "_metrics")

    def __init__(self, metrics: PoolMetrics) -> None:
        self._metrics = metrics

    def __enter__(self) -> None:
        self._metrics._openings[self] = None
        self._began = self._metrics._clock()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._metrics.opened(self, self._began, error)
