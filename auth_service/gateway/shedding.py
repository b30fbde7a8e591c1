"""Whom to turn away: a cap on what is in flight and a token bucket; the clock is passed in."""

from __future__ import annotations

from auth_service.gateway.state import Shedding

BURST_S = 1.0
"""The bucket holds the tokens of one second (at least one), so that arrivals that are random, as
real ones are, pass at a mean below the rate. A bucket of one token would turn many of them away."""


class Shedder:
    """Applies one ``Shedding``; made anew, with a full bucket, when the setting changes."""

    def __init__(self, shedding: Shedding, now_s: float) -> None:
        self._shedding = shedding
        self._size = max(1.0, (shedding.rate_per_s or 0.0) * BURST_S)
        self._tokens = self._size
        self._filled_s = now_s

    def refusal(self, in_flight: int, now_s: float) -> str | None:
        """Why a request is turned away while ``in_flight`` others are served; ``None`` lets it in.

        Letting it in takes a token. ``now_s`` is monotonic seconds.
        """
        most, rate = self._shedding.max_in_flight, self._shedding.rate_per_s
        if most is not None and in_flight >= most:
            return f"{in_flight} requests are in flight and at most {most} may be"
        if rate is None:
            return None
        self._tokens = min(self._size, self._tokens + (now_s - self._filled_s) * rate)
        self._filled_s = now_s
        if self._tokens < 1.0:
            return f"more than {rate:g} requests a second arrive"
        self._tokens -= 1.0
        return None
