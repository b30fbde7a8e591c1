"""How far another process's clock is from ours, by messages there and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Exchange(NamedTuple):
    """A message and its answer: sent and received by our clock, answered by theirs; in seconds."""

    sent_s: float
    theirs_s: float
    received_s: float

    @property
    def round_trip_s(self) -> float:
        """How long it took, there and back."""
        return self.received_s - self.sent_s


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """Their clock shows ours plus ``offset_s``, give or take ``uncertainty_s``."""

    offset_s: float
    uncertainty_s: float


def clock_offset(exchanges: Iterable[Exchange]) -> ClockOffset:
    """The offset by the quickest of ``exchanges``.

    Their answer was given at some moment between sending s and receiving r, so the offset lies
    within (r - s) / 2 of theirs - (s + r) / 2, however unequal the two ways were. Source: D. Mills,
    "Internet time synchronization: the Network Time Protocol", IEEE Trans. Communications 39, 1991.

    Raises ValueError where there is none.
    """
    best = min(exchanges, key=lambda exchange: exchange.round_trip_s)
    middle_s = (best.sent_s + best.received_s) / 2
    return ClockOffset(best.theirs_s - middle_s, best.round_trip_s / 2)
