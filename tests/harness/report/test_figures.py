"""The figures of a page: what the runs measured, and nothing of the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from harness.recording import Recording
from harness.report.figures import Figures, figures
from harness.timemap import build_timemap
from harness.verdicts import Verdict
from tests.harness.report.pages import matrix, row

Run = tuple[Recording, Verdict]


def with_seed(run: Run, seed: int) -> Run:
    recording, verdict = run
    info = replace(recording.info, seed=seed)
    return replace(recording, info=info), verdict.model_copy(update={"seed": seed})


def test_they_hold_what_each_run_measured_in_the_order_of_the_seeds(passed: Run) -> None:
    found = figures([with_seed(passed, 3), with_seed(passed, 2)])
    recording, verdict = passed
    assert found.incident == "undersized-pool"
    assert [run.seed for run in found.runs] == [2, 3]
    run = found.runs[0]
    assert run.outcome == "pass"
    assert run.users_affected == verdict.users.affected_ratio
    assert run.clocks_s == verdict.clocks_s
    assert run.replay_s == build_timemap(recording.incident).replay_length_s
    told = [(one.id, one.outcome, one.expected, one.measured) for one in run.checks]
    assert told == [(one.id, one.outcome, one.expected, one.measured) for one in verdict.checks]


def test_a_full_length_run_is_as_long_as_the_incident(passed: Run) -> None:
    recording, verdict = passed
    whole = replace(recording, info=replace(recording.info, source="full-length"))
    assert figures([(whole, verdict)]).runs[0].replay_s == recording.incident.clock.duration_s


def test_the_run_without_the_defect_is_its_outcome_and_what_failed(
    passed: Run, failed: Run
) -> None:
    without = figures([passed], without_defect=failed).without_defect
    assert without is not None
    assert without.outcome == "fail"
    assert "reproduction.pool_timeouts" in without.failed
    assert "reproduction.capacity" not in without.failed  # it is invalid: no pool was ever full


def test_versions_are_named_once_and_without_the_machine(passed: Run) -> None:
    recording, verdict = passed
    environment = {
        "platform": "Linux-6.1",
        "cpu_count": 2,
        "python": "3.11.7",
        "postgres": "18.4",
        "pgbouncer": None,
        "prometheus": "2.42",
        "host": "build-7",
        "addresses": {"gateway": "http://127.0.0.1:1"},
    }
    here = (replace(recording, environment=environment), verdict)
    found = figures([here, with_seed(here, 2)])
    (versions,) = found.versions
    assert (versions.python, versions.cpu_count, versions.pgbouncer) == ("3.11.7", 2, None)
    assert "build-7" not in found.to_json()
    assert "127.0.0.1" not in found.to_json()
    assert len(figures([here, with_seed(passed, 2)]).versions) == 2


def test_no_path_of_the_machine_remains(passed: Run) -> None:
    why = "/home/me/runs/shed/run.log says: no\n/home/me/other"
    tried = matrix(
        row("nothing", directory="/home/me/runs/nothing"),
        row("shed", "invalid", why=why),
        row("restart", "invalid", why="52/s asked, 40/s given (p99 <= 0.1/0.2/x s)"),
    )
    found = figures([passed], matrix=tried)
    assert str(passed[0].directory) not in found.to_json()
    assert "/home" not in found.to_json()
    assert found.matrix is not None
    assert [one.directory for one in found.matrix.rows] == ["", "", ""]
    assert [one.why for one in found.matrix.rows[1:]] == ["run.log says: no", tried.rows[2].why]


def test_they_read_back_as_they_were_written(passed: Run, failed: Run) -> None:
    found = figures([passed], without_defect=failed, matrix=matrix(row("nothing")))
    text = found.to_json()
    assert Figures.model_validate_json(text) == found
    assert Figures.model_validate_json(text).to_json() == text


def test_figures_of_no_run_are_none() -> None:
    with pytest.raises(ValidationError, match="runs"):
        Figures(incident="undersized-pool", runs=(), versions=())
