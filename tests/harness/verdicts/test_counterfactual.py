"""What an action changed, on simulated recordings of the same incident."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.incident import Incident, Row, SetPool, dump_incident, read_incident
from harness.incident.variants import under
from harness.recording import read_recording
from harness.verdicts.counterfactual import Matrix, RowResult, order, result
from tests.recordings import UNDERSIZED_YAML, synthetic_recording

AT_S = 1800.0


@pytest.fixture(scope="module")
def incident() -> Incident:
    return read_incident(UNDERSIZED_YAML, file="undersized.yaml", overrides={"whatif.at": "30m"})


def tried(incident: Incident, size: int | None, directory: Path) -> RowResult:
    """The row that sets the pools to ``size``; None: nobody does anything."""
    row = None
    if size is not None:
        row = Row(name="set-pool", actions=(SetPool(do="set-pool", at_s=AT_S, size=size),))
    variant = under(incident, row)
    synthetic_recording(directory / "run", yaml=dump_incident(variant))
    at_s = None if size is None else AT_S
    return result(read_recording(directory / "run"), "set-pool", "", at_s)


def test_nothing_done_recovers_nothing(incident: Incident, tmp_path: Path) -> None:
    row = tried(incident, None, tmp_path)
    assert (row.outcome, row.minutes, row.survives) == ("not", None, False)
    assert row.saved_minutes is None
    assert row.affected == pytest.approx(0.3, abs=0.08)


def test_enough_connections_recover_fully_and_survive(incident: Incident, tmp_path: Path) -> None:
    row = tried(incident, 20, tmp_path)
    assert (row.outcome, row.survives) == ("fully", True)
    assert row.minutes is not None
    assert 0 <= row.minutes < 10
    # Of an outage that ends at 2 h 40 min, acted on at 30 min.
    assert row.saved_minutes == pytest.approx(130 - row.minutes)
    # Thirty minutes of the outage's 150 went by: those users stay affected.
    assert row.affected is not None
    assert row.affected < 0.1


def test_a_few_more_connections_recover_partly(tmp_path: Path) -> None:
    """From 90 of 160 logins a second to 127 of them."""
    overrides = {"whatif.at": "30m", "load.phases.surge.rate": "160/s"}
    crowded = read_incident(UNDERSIZED_YAML, file="undersized.yaml", overrides=overrides)
    row = tried(crowded, 7, tmp_path)
    assert (row.outcome, row.minutes) == ("partly", None)
    assert row.success_before is not None
    assert row.success_after is not None
    assert row.success_after > row.success_before


def test_a_recording_that_cannot_be_trusted_gives_no_outcome(
    incident: Incident, tmp_path: Path
) -> None:
    variant = under(incident, None)
    synthetic_recording(
        tmp_path / "run", yaml=dump_incident(variant), dead_part=(20.0, "replica-1")
    )
    row = result(read_recording(tmp_path / "run"), "nothing", "", None)
    assert row.outcome == "invalid"
    assert "replica-1" in row.why
    assert (row.minutes, row.survives) == (None, None)


def named(name: str, outcome: str, survives: bool | None, affected: float) -> RowResult:
    return RowResult.model_validate(
        {
            "name": name,
            "says": "",
            "outcome": outcome,
            "minutes": None,
            "affected": affected,
            "success_before": None,
            "success_after": None,
            "survives": survives,
            "success_second_surge": None,
        }
    )


def test_what_helps_most_comes_first() -> None:
    rows = (
        named("nothing", "not", False, 0.3),
        named("restart", "fully", False, 0.1),
        named("set-pool", "fully", True, 0.1),
        named("lost", "invalid", None, 0.0),
        named("scale-out", "partly", False, 0.2),
    )
    matrix = Matrix(incident="x", seed=1, at_s=1.0, rows=rows)
    assert [row.name for row in order(matrix)] == [
        "set-pool",
        "restart",
        "scale-out",
        "nothing",
        "lost",
    ]
