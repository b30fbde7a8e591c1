"""Run directories: written whole, read whole, refused whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from harness.errors import RecordingError, RunDirectoryError
from harness.incident import read_incident
from harness.recording import (
    REQUESTS,
    RecordingWriter,
    RunInfo,
    TimelineEvent,
    read_recording,
)
from tests.recordings import UNDERSIZED_YAML, synthetic_recording


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_recording(tmp_path_factory.mktemp("runs") / "whole", pool_size=20)


@pytest.fixture
def directory(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    copy = tmp_path / "run"
    copy.mkdir()
    for path in whole.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    return copy


def test_what_is_written_is_read_back(directory: Path) -> None:
    recording = read_recording(directory)
    assert recording.info.status == "complete"
    assert recording.incident.name == "undersized-pool"
    assert recording.requests.schema == REQUESTS
    assert recording.arrivals["arrival"].is_sorted()
    assert [event.name for event in recording.events][:2] == ["baseline", "surge"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("requests.parquet", Path.unlink, "requests.parquet: missing"),
        ("samples.parquet", truncate, "samples.parquet: truncated"),
        ("arrivals.parquet", lambda p: p.write_bytes(b""), "arrivals.parquet: truncated"),
        ("incident.yaml", Path.unlink, "incident.yaml: missing"),
        ("incident.yaml", truncate, "incident.yaml: PD002"),
        ("run.json", Path.unlink, "run.json: missing"),
        ("run.json", lambda p: p.write_text("[]"), "not a JSON object"),
        ("run.json", lambda p: p.write_text('{"schema": 9}'), "schema 9 is not known"),
        ("run.json", lambda p: p.write_text('{"schema": 1, "odd": 2}'), "odd"),
        ("events.jsonl", Path.unlink, "events.jsonl: missing"),
        ("events.jsonl", lambda p: p.write_text('{"t_s": 1'), "events.jsonl:1:"),
        (
            "sessions.parquet",
            lambda p: pl.DataFrame({"other": [1]}).write_parquet(p),
            "user: missing instead of UInt32",
        ),
    ],
)
def test_a_damaged_directory_is_refused_by_name(
    directory: Path, name: str, damage: Callable[[Path], object], said: str
) -> None:
    damage(directory / name)
    with pytest.raises(RecordingError) as caught:
        read_recording(directory)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_foreign_directory_is_told_all_that_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(RecordingError) as caught:
        read_recording(tmp_path)
    for name in ("run.json", "incident.yaml", "arrivals.parquet", "samples.parquet"):
        assert f"{name}: missing" in str(caught.value)
    with pytest.raises(RecordingError, match="no such run directory"):
        read_recording(tmp_path / "absent")


def test_events_are_on_disk_before_the_run_goes_on(tmp_path: Path) -> None:
    incident = read_incident(UNDERSIZED_YAML, file="x.yaml")
    writer = RecordingWriter(tmp_path / "run", RunInfo("undersized-pool", 1), incident)
    writer.event(TimelineEvent(1.0, "note", "dba", detail={"says": "näh"}))
    lines = (tmp_path / "run" / "events.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[0])["detail"] == {"says": "näh"}
    writer.close()


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    incident = read_incident(UNDERSIZED_YAML, file="x.yaml")
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(RunDirectoryError, match="cannot be written") as caught:
        RecordingWriter(blocked / "run", RunInfo("undersized-pool", 1), incident)
    assert "--out" in caught.value.remedy


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_a_full_disk_is_an_error_with_a_remedy_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = read_incident(UNDERSIZED_YAML, file="x.yaml")
    writer = RecordingWriter(tmp_path / "run", RunInfo("undersized-pool", 1), incident)
    monkeypatch.setattr(writer, "_events", open("/dev/full", "w", buffering=1))  # noqa: SIM115
    with pytest.raises(RunDirectoryError, match="No space left"):
        writer.event(TimelineEvent(1.0, "note", "x"))

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(RunDirectoryError, match="No space left"):
        writer.table("requests", pl.DataFrame(schema=REQUESTS))
    assert not list((tmp_path / "run").glob("tmp*"))
    assert not (tmp_path / "run" / "requests.parquet").exists()
