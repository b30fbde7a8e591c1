"""What the checks look at: one recording, measured once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from harness import measurements
from harness.incident import Claim
from harness.measurements.load_workers import LoadWorker, load_workers
from harness.measurements.model import Arrivals, Capacity, Clocks, Latency, Users
from harness.recording import Recording, TimelineEvent
from harness.timemap import TimeMap, build_timemap


@dataclass(frozen=True)
class Evidence:
    """A recording with its time map and everything measured of it. Stretches are replay seconds.

    ``table`` has the arrivals that were meant to log in; ``arrivals`` counts all.
    """

    recording: Recording
    timemap: TimeMap
    table: pl.DataFrame
    arrivals: Arrivals
    users: Users
    latency: Latency
    clocks: Clocks
    capacity: Capacity
    load_workers: tuple[LoadWorker, ...]
    calm: tuple[float, float]
    busy: tuple[float, float]

    @property
    def complete(self) -> bool:
        return self.recording.info.status == "complete"

    @property
    def load_lost(self) -> bool:
        """Whether arrivals went with a worker of the load."""
        return any(worker.lost for worker in self.load_workers)

    def success_before(self, replay_s: float) -> float | None:
        """Share of the logins that had ended by then, one way or the other, that succeeded."""
        ended = self.table.filter(pl.col("ended_s") <= replay_s)
        return measurements.success_ratio(
            ended, self.timemap, 0.0, self.timemap.to_incident_s(replay_s)
        )

    def served_between(self, begin_s: float, end_s: float) -> float | None:
        """Logins that succeeded between two replay seconds, for each that was intended in them.

        It looks at when logins end, so that nothing which happens later can change it; in a
        stationary stretch it is their success ratio. None where nobody meant to log in.
        """
        within = (pl.col("ended_s") >= begin_s) & (pl.col("ended_s") < end_s)
        intended = (pl.col("intended_s") >= begin_s) & (pl.col("intended_s") < end_s)
        asked = self.table.filter(intended).height
        served = self.table.filter(within & pl.col("in_time")).height
        return round(served / asked, 6) if asked else None

    def next_change_s(self, event: TimelineEvent) -> float:
        """Replay second at which the next thing on the timeline begins, else the load's end.

        Entries of one instant are played one after the other; they count as one thing.
        """
        begins = [
            other.t_s
            for other in self.recording.events
            if other.kind in ("action", "decoy", "fault", "phase")
            and other.state != "end"
            and other.t_s > event.t_s
            and other.detail.get("at_s", math.nan) != event.detail.get("at_s")
        ]
        return min(begins, default=self.timemap.replay_length_s)

    def claimed(self, claim: Claim) -> float | None:
        """The figure of a claim; None where it was not measured."""
        return measurements.claimed(
            claim, measurements.Measured(self.recording, self.timemap, self.table)
        )

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
    everybody = measurements.arrival_table(recording)
    table = measurements.attempted_logins(everybody)
    length_s = timemap.replay_length_s
    fix_s = measurements.first_fix_s(recording)
    calm = (0.0, measurements.onset_s(recording, timemap))
    busy = (calm[1], length_s if fix_s is None else fix_s)
    return Evidence(
        recording=recording,
        timemap=timemap,
        table=table,
        arrivals=measurements.count_buckets(everybody),
        users=measurements.count_users(
            table, timemap, incident.outage.begin_s, incident.outage.end_s
        ),
        latency=measurements.latency(recording, table),
        clocks=measurements.clocks(recording, table, timemap),
        capacity=measurements.capacity(recording, calm, busy),
        load_workers=load_workers(recording),
        calm=calm,
        busy=busy,
    )
