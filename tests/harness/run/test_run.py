"""Whole runs on real parts: the outage happens, is measured, and nothing is left behind."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.conclude import judge_directory
from tests.harness.run.small import running, wait_gone

pytestmark = pytest.mark.slow


def not_passed(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    return [check for check in verdict["checks"] if check["outcome"] != "pass"]


def test_a_small_outage_from_nothing_to_its_report(tmp_path: Path) -> None:
    with running(tmp_path / "runs", "--json") as command:
        command.wait_for("the surge", lambda: command.event_seen('"surge"'))
        family = command.family()
        code, stdout, stderr = command.judged()
    verdict = json.loads(stdout)
    assert (code, not_passed(verdict)) == (0, []), stderr
    assert len(family) >= 5
    assert wait_gone(family, within_s=1.0) == []

    directory = command.directory
    assert directory is not None
    expected = {
        "run.json", "incident.yaml", "arrivals.parquet", "requests.parquet", "samples.parquet",
        "sessions.parquet", "events.jsonl", "environment.json", "logs", "verdict.json",
        "report.html", "postmortem.md", "junit.xml",
    }  # fmt: skip
    assert expected <= {path.name for path in directory.iterdir()}
    counts = verdict["arrivals"]
    assert counts["scheduled"] == sum(v for k, v in counts.items() if k != "scheduled")

    before = (directory / "verdict.json").read_bytes()
    judge_directory(directory)
    assert (directory / "verdict.json").read_bytes() == before


@pytest.mark.timeout(300)
def test_the_outage_of_the_readme_reproduces(tmp_path: Path) -> None:
    """What `make drill` runs, judged as users see it."""
    with running(tmp_path / "runs", "--json", incident="undersized-pool") as command:
        code, stdout, stderr = command.judged(timeout_s=280)
    verdict = json.loads(stdout)
    assert (code, not_passed(verdict)) == (0, []), stderr
    if os.environ.get("CI") == "true":
        assert "recording.prometheus_agrees" in {check["id"] for check in verdict["checks"]}


def test_without_the_defect_the_run_says_that_it_did_not_reproduce(tmp_path: Path) -> None:
    with running(tmp_path / "runs", "--set", "service.pool.size=20") as command:
        code, stdout, _ = command.judged()
    assert code == 1
    assert "did not reproduce" in stdout


def test_a_database_that_never_answers_is_never_a_pass(tmp_path: Path) -> None:
    """Every login waits in the database for longer than any client does."""
    with running(tmp_path / "runs", "--json", "--set", "service.work=60s") as command:
        code, stdout, _ = command.end()
    verdict = json.loads(stdout)
    assert code in (1, 3)
    assert verdict["arrivals"]["ok"] == 0
    assert verdict["users"]["affected_ratio"] == 1.0


def test_the_definition_is_saved_before_anything_is_started(tmp_path: Path) -> None:
    with running(tmp_path / "runs") as command:
        command.wait_for("the first part", lambda: command.event_seen('"stack"'))
        directory = command.directory
        assert directory is not None
        for name in ("run.json", "incident.yaml", "arrivals.parquet"):
            assert (directory / name).exists()
        assert not (directory / "requests.parquet").exists()
        assert json.loads((directory / "run.json").read_text())["status"] == "running"
