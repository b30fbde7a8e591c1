"""Which parts the timeline itself took away, and when. Pure functions of a recording."""

from __future__ import annotations

import math

from harness.recording import Recording, TimelineEvent

TAKING_AWAY = ("restart", "restart-database")
"""Lifecycle events during which their part is not there."""


def away_seconds(recording: Recording, part: str) -> set[int]:
    """Whole replay seconds that touch a stretch in which ``part`` was taken away on purpose."""
    seconds: set[int] = set()
    for begin, end in _taken_away(recording):
        if begin.detail.get("part") == part:
            # The recorder looks once a second: the second after the return may still miss it.
            seconds |= set(range(math.floor(begin.t_s), math.floor(end.t_s) + 2))
    return seconds


def restarts(recording: Recording) -> int:
    """How many processes were ended without a last look at their counters."""
    return sum(1 for begin, _ in _taken_away(recording) if begin.name == "restart")


def _taken_away(recording: Recording) -> list[tuple[TimelineEvent, TimelineEvent]]:
    found = []
    begun: dict[tuple[str, str], TimelineEvent] = {}
    for event in recording.events:
        if event.kind != "lifecycle" or event.name not in TAKING_AWAY:
            continue
        key = (event.name, str(event.detail.get("part", "")))
        if event.state == "begin":
            begun[key] = event
        elif key in begun:
            found.append((begun.pop(key), event))
    return found
