"""Recordings, read and stretched to their incidents' length, with what rules are judged by."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness import measurements
from harness.alerts.expansion import Expanded, expand
from harness.alerts.naming import Names
from harness.alerts.score import Subject, queue_bound_s
from harness.alerts.series import SeriesTable
from harness.errors import EvaluationError
from harness.incident import Incident
from harness.recording import Recording, read_recording


@dataclass(frozen=True, slots=True)
class Settings:
    """How a production Prometheus is imagined. Seconds.

    ``scrape_s`` and ``interval_s``: scrape and evaluation interval (a group's own interval goes
    before). ``group_wait_s``: Alertmanager's delay before a notification. ``hold_s``: see
    `harness.alerts.expansion`.
    """

    scrape_s: float = 15.0
    interval_s: float = 15.0
    group_wait_s: float = 30.0
    hold_s: float = 1200.0


DEFAULTS = Settings()
"""A common set-up: 15 s, and Alertmanager's own `group_wait`."""


@dataclass(frozen=True)
class Loaded:
    """Recordings, expanded and measured, ready for rules."""

    recordings: tuple[Recording, ...]
    expanded: tuple[Expanded, ...]
    subjects: tuple[Subject, ...]
    left_out: tuple[Path, ...] = ()

    @property
    def tables(self) -> tuple[SeriesTable, ...]:
        return tuple(each.table for each in self.expanded)


def find_recordings(places: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Run directories in or below ``places``, and those left out because they are incomplete.

    A directory that is itself a run is taken as it is. EvaluationError when there is none.
    """
    places = list(places)
    found: dict[Path, None] = {}
    left_out: list[Path] = []
    for place in places:
        if (place / "run.json").is_file():
            found[place] = None
            continue
        for file in sorted(place.rglob("run.json")):
            if _is_complete(file):
                found[file.parent] = None
            else:
                left_out.append(file.parent)
    if not found:
        raise EvaluationError(
            f"no complete recordings in {', '.join(str(place) for place in places)}",
            remedy="`pooldrill alerts record --out DIR` replays the library; "
            "`pooldrill alerts import` takes a range from a Prometheus.",
        )
    return list(found), left_out


def _is_complete(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text("utf-8")).get("status") == "complete")
    except (OSError, ValueError, AttributeError):
        return False


def load_recordings(
    directories: Iterable[Path],
    *,
    settings: Settings,
    lead_in_s: float = 0.0,
    wanted: Callable[[str], bool] | None = None,
    names: Names | None = None,
) -> Loaded:
    """Recordings at length, with what was measured of each.

    Raises `RecordingError` for a directory that is no whole run, `EvaluationError` for a run that
    did not come to its end or holds no samples.
    """
    names = names or Names()
    recordings, expanded, subjects = [], [], []
    for directory in directories:
        recording = read_recording(directory)
        if recording.info.status != "complete":
            raise EvaluationError(
                f"{directory}: the run is {recording.info.status}; what it shows is no incident",
                remedy="Leave it out, or run it again.",
            )
        if not recording.samples.height:
            raise EvaluationError(
                f"{directory}: the recording is empty: it holds no samples",
                remedy="Leave it out, or run it again.",
            )
        at_length = recording.info.source in ("import", "full-length")
        found = expand(
            recording,
            scrape_s=settings.scrape_s,
            hold_s=0.0 if at_length else settings.hold_s,
            lead_in_s=0.0 if at_length else lead_in_s,
            wanted=wanted,
        )
        found = Expanded(names.apply(found.table), found.time)
        recordings.append(recording)
        expanded.append(found)
        subjects.append(subject_of(recording, found, settings))
    return Loaded(tuple(recordings), tuple(expanded), tuple(subjects))


def subject_of(recording: Recording, expanded: Expanded, settings: Settings) -> Subject:
    """The instants of a recording that rules are judged by, in lab seconds."""
    incident, time = recording.incident, expanded.time
    table = measurements.attempted_logins(measurements.arrival_table(recording))
    clocks = measurements.clocks(recording, table, time.timemap)
    calm = (0.0, measurements.onset_s(recording, time.timemap))
    fix_s = measurements.first_fix_s(recording)
    busy = (calm[1], time.timemap.replay_length_s if fix_s is None else fix_s)
    capacity = measurements.capacity(recording, calm, busy)

    def lab(incident_s: float | None) -> float | None:
        return None if incident_s is None else round(time.from_incident_s(incident_s), 3)

    imported = recording.info.source == "import"
    benign = incident.kind == "benign"
    grid = expanded.table.grid
    onset_s = time.from_incident_s(incident.outage.begin_s)
    end_s = time.from_incident_s(incident.outage.end_s)
    return Subject(
        incident=incident.name,
        seed=recording.info.seed,
        source=recording.info.source,
        benign=benign,
        begin_s=grid.start_s,
        end_s=grid.end_s,
        onset_s=onset_s,
        outage_end_s=end_s,
        first_pool_timeout_s=lab(clocks.first_pool_timeout),
        # An import has no logins to measure: its declared window says when users were harmed.
        slo_breach_s=onset_s if imported and not benign else lab(clocks.slo_breach),
        recovered_s=end_s if imported and not benign else lab(clocks.recovered),
        bound_s=_bound_s(incident, capacity.predicted_per_s),
        held_s=time.held_s,
        sight_s=settings.scrape_s + settings.interval_s,
    )


def _bound_s(incident: Incident, capacity_per_s: float | None) -> float | None:
    """The least of the replicas' queue bounds at the highest load of the incident.

    A replica's load is its share of the users, its capacity its share of all connections.
    """
    service = incident.service
    if capacity_per_s is None:
        return None
    pools = {name: service.of_replica(name).pool for name in service.replica_names}
    weights = {name: service.weight(name) for name in pools}
    limits = {name: pool.limit for name, pool in pools.items()}
    connections = sum(limit or 0 for limit in limits.values())
    rate_per_s = max(phase.rate_per_s for phase in incident.load.phases)
    bounds = []
    for name, pool in pools.items():
        limit = limits[name]
        if limit is None or not connections:
            continue
        offered_per_s = rate_per_s * weights[name] / sum(weights.values())
        bound = queue_bound_s(pool.timeout_s, offered_per_s, capacity_per_s * limit / connections)
        if bound is not None:
            bounds.append(bound)
    return min(bounds, default=None)
