"""Incident time and replay time, and the piecewise linear map between them.

Dynamics do not scale, so a replay never speeds physics up: for a settle window after every
disturbance the map has slope 1. What follows is a plateau, stationary by then, and is shortened.
The slope there, *d incident / d replay* >= 1, is the weight with which whatever is seen in that
second of replay stands for seconds of the incident.

Before the next disturbance true speed returns, for as long as a user is patient (the approach). A
login that begins there may be decided after the disturbance: it may not stand for hours of logins
that were not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from harness.incident import Incident


@dataclass(frozen=True, slots=True)
class Knot:
    """A point of the map, seconds in both times; ``weight`` holds from here to the next knot."""

    incident_s: float
    replay_s: float
    weight: float


@dataclass(frozen=True)
class TimeMap:
    """Strictly increasing, piecewise linear. Outside its range it goes on with slope 1."""

    knots: tuple[Knot, ...]

    @property
    def incident_length_s(self) -> float:
        return self.knots[-1].incident_s

    @property
    def replay_length_s(self) -> float:
        return self.knots[-1].replay_s

    def to_replay_s(self, incident_s: float) -> float:
        """Replay second at which incident second ``incident_s`` is played."""
        knot = self.knots[max(0, bisect_right(self._incident_starts, incident_s) - 1)]
        return knot.replay_s + (incident_s - knot.incident_s) / knot.weight

    def to_incident_s(self, replay_s: float) -> float:
        """Incident second that was played at replay second ``replay_s``."""
        knot = self._at(replay_s)
        return knot.incident_s + (replay_s - knot.replay_s) * knot.weight

    def weight(self, replay_s: float) -> float:
        """Seconds of the incident for which one second of replay stands, at ``replay_s``."""
        return self._at(replay_s).weight

    def _at(self, replay_s: float) -> Knot:
        return self.knots[max(0, bisect_right(self._replay_starts, replay_s) - 1)]

    @cached_property
    def _incident_starts(self) -> list[float]:
        return [knot.incident_s for knot in self.knots]

    @cached_property
    def _replay_starts(self) -> list[float]:
        return [knot.replay_s for knot in self.knots]


def build_timemap(incident: Incident, *, full_length: bool = False) -> TimeMap:
    """The map of an incident; the identity with ``full_length``."""
    if full_length:
        return _chain([(0.0, incident.clock.duration_s, incident.clock.duration_s)])
    return shorten(
        incident.disturbances(),
        incident.clock.duration_s,
        approach_s=incident.load.client.patience_s,
    )


def shorten(
    disturbances: Iterable[tuple[float, float, float]], duration_s: float, *, approach_s: float
) -> TimeMap:
    """The map for disturbances ``(at_s, settle_s, plateau_s)`` of an incident of ``duration_s``.

    A stretch no longer than settle window, plateau and approach together keeps its length. Where
    two disturbances coincide the longer windows hold. The end of the incident needs no approach.
    """
    windows: dict[float, tuple[float, float]] = {0.0: (0.0, 1.0)}
    for at_s, settle_s, plateau_s in disturbances:
        before = windows.get(at_s, (0.0, 0.0))
        # A plateau of no length would be a jump in time: a second of it is always played.
        windows[at_s] = (max(before[0], settle_s), max(before[1], plateau_s, 1.0))
    starts = sorted(at_s for at_s in windows if at_s < duration_s)
    pieces = []
    for begin_s, end_s in zip(starts, [*starts[1:], duration_s], strict=True):
        settle_s, plateau_s = windows[begin_s]
        lead_s = approach_s if end_s < duration_s else 0.0
        if end_s - begin_s <= settle_s + plateau_s + lead_s:
            pieces.append((begin_s, end_s, end_s - begin_s))
            continue
        if settle_s > 0:
            pieces.append((begin_s, begin_s + settle_s, settle_s))
        pieces.append((begin_s + settle_s, end_s - lead_s, plateau_s))
        if lead_s > 0:
            pieces.append((end_s - lead_s, end_s, lead_s))
    return _chain(pieces)


def _chain(pieces: list[tuple[float, float, float]]) -> TimeMap:
    """Knots from ``(begin_s, end_s, replay_length_s)`` of consecutive pieces."""
    knots = []
    replay_s = 0.0
    for begin_s, end_s, length_s in pieces:
        knots.append(Knot(begin_s, replay_s, (end_s - begin_s) / length_s))
        replay_s += length_s
    knots.append(Knot(pieces[-1][1], replay_s, 1.0))
    return TimeMap(tuple(knots))
