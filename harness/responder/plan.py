"""The timeline as steps in replay time. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.incident import Event, Incident, Phase
from harness.timemap import TimeMap


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do at ``replay_s``; ``part`` of ``parts`` where an event has several.

    ``target`` is the replica that a step of a rolling change is about, else empty. ``settle_s`` is
    how long the event's effect is watched at true speed.
    """

    replay_s: float
    what: Phase | Event
    part: int = 1
    parts: int = 1
    target: str = ""
    settle_s: float = 0.0


def plan(incident: Incident, timemap: TimeMap) -> tuple[Step, ...]:
    """Phases and events as steps in replay time, in order; at one instant phases come first."""
    steps = [Step(timemap.to_replay_s(phase.at_s), phase) for phase in incident.load.phases]
    for event in incident.timeline:
        instants_s = incident.instants_s(event)
        targets = incident.targets(event) or ("",) * len(instants_s)
        settle_s = incident.replay.settle_s if event.settle_s is None else event.settle_s
        steps += [
            Step(timemap.to_replay_s(at_s), event, number, len(instants_s), target, settle_s)
            for number, (at_s, target) in enumerate(zip(instants_s, targets, strict=True), start=1)
        ]
    return tuple(sorted(steps, key=lambda step: step.replay_s))
