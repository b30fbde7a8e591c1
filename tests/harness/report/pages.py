"""Small figures made by hand, for pages to be rendered from."""

from __future__ import annotations

from typing import Any

from harness.incident import Incident, read_incident
from harness.measurements.model import Clocks
from harness.report.figures import CheckFigure, Figures, RunFigures, Versions, WithoutDefect
from harness.verdicts.counterfactual import Matrix, RowResult
from tests.recordings import UNDERSIZED_YAML

NO_CLOCKS = Clocks(**dict.fromkeys(Clocks.model_fields))


def incident(**changes: Any) -> Incident:
    """The incident of the synthetic recordings, with some fields replaced."""
    found = read_incident(UNDERSIZED_YAML, file="undersized-pool.yaml")
    return found.model_copy(update=changes)


def asking(answer: str) -> Incident:
    """The incident with one open question."""
    found = incident()
    assert found.postmortem is not None
    document = found.postmortem.model_dump() | {
        "open_questions": [{"asks": "Would a *restart* have helped?", "answer": answer}]
    }
    return found.model_copy(update={"postmortem": type(found.postmortem).model_validate(document)})


def check(check_id: str, measured: float | str | None, expected: str = "<= 1") -> CheckFigure:
    return CheckFigure(id=check_id, outcome="pass", expected=expected, measured=measured)


def run(seed: int, *checks: CheckFigure, affected: float = 0.3, **clocks: float) -> RunFigures:
    return RunFigures(
        seed=seed,
        source="replay",
        outcome="pass",
        replay_s=120.4,
        users_affected=affected,
        clocks_s=NO_CLOCKS.model_copy(update=clocks),
        checks=checks or (check("run.complete", "complete", "complete"),),
    )


def row(name: str, outcome: Any = "fully", **values: Any) -> RowResult:
    found: dict[str, Any] = {
        "says": "",
        "minutes": 1.5,
        "saved_minutes": 111.0,
        "affected": 0.25,
        "success_before": 0.5,
        "success_after": 1.0,
        "survives": True,
        "success_second_surge": 1.0,
    }
    return RowResult(name=name, outcome=outcome, **found | values)


def matrix(*rows: RowResult) -> Matrix:
    return Matrix(incident="undersized-pool", seed=1, at_s=2850, rows=rows)


def figures(*runs: RunFigures, **parts: Any) -> Figures:
    found: dict[str, Any] = {
        "without_defect": WithoutDefect(outcome="fail", failed=("reproduction.pool_timeouts",)),
        "versions": (Versions(platform="Linux-6.1", cpu_count=2, python="3.11.7"),),
    }
    return Figures(incident="undersized-pool", runs=runs or (run(1),), **found | parts)
