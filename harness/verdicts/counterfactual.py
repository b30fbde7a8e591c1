"""What an action changed: one row of the counterfactuals, from the recording of its run. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import polars as pl

from harness import measurements
from harness.incident.variants import CALM, SECOND
from harness.measurements.model import Value
from harness.recording import Recording
from harness.verdicts import validity
from harness.verdicts.evidence import Evidence, measure
from harness.verdicts.reproduction import WINDOW_S

Recovery = Literal["fully", "partly", "not", "invalid"]

FULL_SUCCESS = 0.98
"""Success from which on a stretch counts as recovered; the harshest SLO here asks for 0.99."""

PARTLY = 0.75
"""An action that leaves at most this much of the failures helped partly."""


class RowResult(Value):
    """What one row came to.

    ``minutes`` is incident time from the first action to the SLO's recovery within the outage,
    ``saved_minutes`` from there to the outage's end as the definition has it;
    ``affected`` the share of the outage's users; ``survives`` whether the second surge was served.
    """

    name: str
    says: str
    outcome: Recovery
    minutes: float | None
    saved_minutes: float | None = None
    affected: float | None
    success_before: float | None
    success_after: float | None
    survives: bool | None
    success_second_surge: float | None
    why: str = ""
    directory: str = ""


class Matrix(Value):
    """All rows tried on one incident, in the order in which they were tried."""

    schema_version: Literal[1] = 1
    incident: str
    seed: int
    at_s: float
    rows: tuple[RowResult, ...]


def result(recording: Recording, name: str, says: str, at_s: float | None) -> RowResult:
    """What the row ``name`` came to; ``at_s`` of its first action, None where nothing is done."""
    evidence = measure(recording)
    distrust = [check.why for check in validity.checks(evidence) if check.outcome != "pass"]
    if distrust:
        return RowResult(
            name=name,
            says=says,
            outcome="invalid",
            minutes=None,
            affected=evidence.users.affected_ratio,
            success_before=None,
            success_after=None,
            survives=None,
            success_second_surge=None,
            why="; ".join(distrust),
        )
    patience_s = recording.incident.load.client.patience_s
    to_replay_s = evidence.timemap.to_replay_s
    calm_s, second_s = _phase_s(evidence, CALM), _phase_s(evidence, SECOND)
    acted_s = to_replay_s(recording.incident.outage.begin_s if at_s is None else at_s)
    before = None if at_s is None else _success(evidence, acted_s - patience_s - WINDOW_S, acted_s)
    after = _success(evidence, calm_s - patience_s - WINDOW_S, calm_s - patience_s)
    end_s = evidence.timemap.replay_length_s
    second = _success(evidence, (second_s + end_s) / 2, end_s)
    recovered_s = _recovered_s(evidence, acted_s, calm_s)
    minutes = saved = None
    if recovered_s is not None and at_s is not None:
        back_s = evidence.timemap.to_incident_s(recovered_s)
        minutes = round((back_s - at_s) / 60, 2)
        saved = round((recording.incident.outage.end_s - back_s) / 60, 2)
    return RowResult(
        name=name,
        says=says,
        outcome=_outcome(before, after),
        minutes=minutes,
        saved_minutes=saved,
        affected=evidence.users.affected_ratio,
        success_before=before,
        success_after=after,
        survives=None if second is None else second >= FULL_SUCCESS,
        success_second_surge=second,
    )


def order(matrix: Matrix) -> Iterable[RowResult]:
    """The rows as a reader wants them: what helps most first."""
    rank = {"fully": 0, "partly": 1, "not": 2, "invalid": 3}
    return sorted(
        matrix.rows, key=lambda row: (rank[row.outcome], not row.survives, row.affected or 0.0)
    )


def _outcome(before: float | None, after: float | None) -> Recovery:
    if after is None:
        return "invalid"
    if after >= FULL_SUCCESS:
        return "fully"
    if before is not None and 1 - after <= PARTLY * (1 - before):
        return "partly"
    return "not"


def _success(evidence: Evidence, begin_s: float, end_s: float) -> float | None:
    return evidence.success_between(max(0.0, begin_s), end_s)


def _phase_s(evidence: Evidence, name: str) -> float:
    phases = evidence.recording.incident.load.phases
    at_s = next(phase.at_s for phase in phases if phase.name == name)
    return evidence.timemap.to_replay_s(at_s)


def _recovered_s(evidence: Evidence, acted_s: float, calm_s: float) -> float | None:
    """Replay second since which the SLO held to the end of the outage; None if it did not."""
    incident = evidence.recording.incident
    within = evidence.table.filter(pl.col("intended_s") < calm_s - incident.load.client.patience_s)
    breach = measurements.slo_breach(within, incident.slo, incident.load.client.patience_s)
    if breach.begin_s is None:
        return acted_s
    return None if breach.recovered_s is None else max(acted_s, breach.recovered_s)
