"""From an incident's phases to rates in replay time. Pure."""

from __future__ import annotations

from itertools import pairwise

from harness.incident import Incident, Phase
from harness.load.arrivals import RateSegment
from harness.timemap import TimeMap


def rate_segments(incident: Incident, timemap: TimeMap) -> tuple[RateSegment, ...]:
    """The arrival rate in replay time: linear pieces between ramps' ends and the map's knots.

    A plateau is shortened, not thinned: in it the rate per second of replay is the incident's.
    """
    phases = incident.load.phases
    ends_s = [phase.at_s for phase in phases[1:]] + [incident.clock.duration_s]
    pieces: list[RateSegment] = []
    rate_before = phases[0].rate_per_s
    for phase, end_s in zip(phases, ends_s, strict=True):
        ramp_end_s = min(phase.at_s + phase.ramp_s, end_s)
        cuts = {phase.at_s, ramp_end_s, end_s}
        cuts |= {k.incident_s for k in timemap.knots if phase.at_s < k.incident_s < end_s}

        def rate(at_s: float, phase: Phase = phase, before: float = rate_before) -> float:
            share = 1.0 if phase.ramp_s == 0 else min(1.0, (at_s - phase.at_s) / phase.ramp_s)
            return before + share * (phase.rate_per_s - before)

        ordered = sorted(cuts)
        for begin_s, stop_s in pairwise(ordered):
            pieces.append(
                RateSegment(
                    phase=phase.name,
                    begin_s=timemap.to_replay_s(begin_s),
                    end_s=timemap.to_replay_s(stop_s),
                    rate_begin_per_s=rate(begin_s),
                    rate_end_per_s=rate(stop_s),
                    wrong_password_ratio=phase.wrong_passwords,
                    networks=incident.load.networks_of(phase),
                )
            )
        rate_before = rate(end_s)
    return tuple(pieces)
