"""What the checks look at: one recording, measured once."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from harness import measurements
from harness.measurements.model import Arrivals, Capacity, Clocks, Latency, Users
from harness.recording import Recording
from harness.timemap import TimeMap, build_timemap


@dataclass(frozen=True)
class Evidence:
    """A recording with its time map and everything measured of it. Stretches are replay seconds."""

    recording: Recording
    timemap: TimeMap
    table: pl.DataFrame
    arrivals: Arrivals
    users: Users
    latency: Latency
    clocks: Clocks
    capacity: Capacity
    calm: tuple[float, float]
    busy: tuple[float, float]

    @property
    def complete(self) -> bool:
        return self.recording.info.status == "complete"

    def success_between(self, begin_s: float, end_s: float) -> float | None:
        """Share of logins intended between two replay seconds that succeeded in time."""
        to_incident_s = self.timemap.to_incident_s
        return measurements.success_ratio(
            self.table, self.timemap, to_incident_s(begin_s), to_incident_s(end_s)
        )


def measure(recording: Recording) -> Evidence:
    """Everything that can be measured of ``recording``."""
    incident = recording.incident
    timemap = build_timemap(incident, full_length=recording.info.source == "full-length")
    table = measurements.arrival_table(recording)
    length_s = timemap.replay_length_s
    surge_s = measurements.surge_s(recording, timemap)
    fix_s = measurements.first_fix_s(recording)
    calm = (0.0, length_s if surge_s is None else surge_s)
    busy = (calm[1], length_s if fix_s is None else fix_s)
    return Evidence(
        recording=recording,
        timemap=timemap,
        table=table,
        arrivals=measurements.count_buckets(table),
        users=measurements.count_users(
            table, timemap, incident.outage.begin_s, incident.outage.end_s
        ),
        latency=measurements.latency(recording, table),
        clocks=measurements.clocks(recording, table, timemap),
        capacity=measurements.capacity(recording, calm, busy),
        calm=calm,
        busy=busy,
    )
