"""How many different clients there are: a crowd, or one that asks very often; pure."""

from __future__ import annotations

WINDOW_S = 5.0
"""As long as a scrape interval may be, so that no window passes unseen."""

MOST = 100_000
"""Clients told apart in one window; a count that stands here means *at least*."""


class DistinctClients:
    """Counts different clients by window; the clock is passed in, in monotonic seconds.

    Hashes are kept, not addresses: who sends the header chooses how long an address is. Of 100,000
    clients, two share a 64-bit hash once in billions of windows.
    """

    def __init__(self, now_s: float) -> None:
        self._began_s = now_s
        self._seen: set[int] = set()
        self._last = 0

    def came(self, client: str, now_s: float) -> None:
        """A request of ``client`` has come."""
        self._turn(now_s)
        if len(self._seen) < MOST:
            self._seen.add(hash(client))

    def last(self, now_s: float) -> int:
        """How many different clients came in the last full window; 0 before the first is full."""
        self._turn(now_s)
        return self._last

    def _turn(self, now_s: float) -> None:
        ended = int((now_s - self._began_s) // WINDOW_S)
        if ended < 1:
            return
        # More than one: nobody came since, or it would have been noticed then.
        self._last = len(self._seen) if ended == 1 else 0
        self._seen = set()
        self._began_s += ended * WINDOW_S
