"""The recordings that come with Pooldrill: whole, and of the library as it is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.alerts import packed
from harness.alerts.packed import KEPT, pack, unpacked
from harness.document import PLAYED
from harness.errors import EvaluationError, RecordingError
from harness.incident import library, load_incident
from harness.recording import Recording, read_recording
from harness.verdicts import judge

SEEDS = 3


@pytest.fixture(scope="module")
def recordings() -> Iterator[list[Recording]]:
    with unpacked() as folder:
        yield [read_recording(file.parent) for file in sorted(folder.rglob("run.json"))]


def test_every_incident_and_control_is_there_under_three_seeds(recordings: list[Recording]) -> None:
    there = Counter(recording.incident.name for recording in recordings)
    assert there == dict.fromkeys(library(), SEEDS)
    assert {recording.info.source for recording in recordings} == {"replay"}
    assert {recording.info.status for recording in recordings} == {"complete"}


@pytest.mark.parametrize("name", library())
def test_they_were_made_from_the_definitions_as_they_are(
    name: str, recordings: list[Recording]
) -> None:
    """An incident that was changed has no recordings until it is recorded again."""
    now = load_incident(name)
    for recording in recordings:
        if recording.incident.name == name:
            # A run seeds as many accounts as its arrivals need.
            users = {"users": now.database.users}
            played = recording.incident.model_copy(
                update={"database": recording.incident.database.model_copy(update=users)}
            )
            differs = [field for field in PLAYED if getattr(played, field) != getattr(now, field)]
            assert differs == []


def test_they_passed(recordings: list[Recording]) -> None:
    """Judged again, from what is packed: rules are scored on outages that happened."""
    first = {recording.incident.name: recording for recording in reversed(recordings)}
    failed = [
        (name, check.id)
        for name in ("undersized-pool", "too-many-clients", "busy-morning")
        for check in judge(first[name]).checks
        # What a Prometheus beside the run saw is left out.
        if check.outcome != "pass" and check.id != "recording.prometheus_agrees"
    ]
    assert failed == []


def test_nothing_of_a_machine_is_in_them(recordings: list[Recording]) -> None:
    for recording in recordings:
        assert "addresses" not in recording.environment
        names = {path.name for path in recording.directory.iterdir()}
        assert names == {*KEPT, "environment.json"}


def test_it_is_packed_the_same_each_time_and_unpacked_whole(
    recordings: list[Recording], tmp_path: Path
) -> None:
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    chosen = [recording.directory for recording in recordings[:2]]
    assert pack(chosen, one) == pack(chosen, two) == 2
    assert one.read_bytes() == two.read_bytes()
    with pytest.raises(RecordingError):
        pack([tmp_path], tmp_path / "three.zip")
    assert not (tmp_path / "three.zip").exists()


def test_the_folder_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    with unpacked() as folder:
        assert folder.is_dir()
    assert not folder.exists()
    monkeypatch.setattr(packed, "NAME", "no-such.zip")
    with pytest.raises(EvaluationError, match="alerts record"), unpacked():
        pass


@pytest.mark.slow
@pytest.mark.prometheus
@pytest.mark.timeout(600)
def test_the_guides_scores_are_what_these_recordings_give(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from harness.cli.application import app

    root = Path(__file__).resolve().parents[3]
    ended = CliRunner().invoke(
        app, ["alerts", "score", str(root / "dashboards/prometheus/rules"), "--json"]
    )
    assert ended.exit_code == 0
    now = json.loads(ended.stdout)
    guide = json.loads((root / "docs/guides/alert-design.ours.json").read_text("utf-8"))
    ours, theirs = fired(now), fired(guide)
    assert ours.keys() == theirs.keys()
    for key, at_s in theirs.items():
        if at_s is None:
            assert ours[key] is None, key
        else:
            # Prometheus 3 leaves out a range's first instant, which 2 takes: two evaluations.
            assert ours[key] == pytest.approx(at_s, abs=30), key


def fired(data: dict[str, Any]) -> dict[tuple[str, str, int], float | None]:
    """When each rule fired on each recording; None where it was silent."""
    return {
        (rule["alert"], each["incident"], each["seed"]): each["fired_s"]
        for rule in data["rules"]
        for each in rule["incidents"]
    }
