"""What goes wrong in the middle of a run: it is said, the recording is kept, nothing is left."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.recording import read_recording
from tests.harness.run.small import Command, running, wait_gone

pytestmark = pytest.mark.slow

STAGES: dict[str, Callable[[Command], bool]] = {
    "before anything": lambda command: True,
    "starting": lambda command: command.event_seen('"stack"'),
    "stack is up": lambda command: command.event_seen("ready_s"),
    "baseline": lambda command: command.event_seen('"baseline"'),
    "surge": lambda command: command.event_seen('"surge"'),
    "fixing": lambda command: command.event_seen('"set-pool"'),
    "saving": lambda command: bool(
        command.directory and (command.directory / "requests.parquet").exists()
    ),
}


def words_of(command: Command, program: str) -> list[list[str]]:
    """The command lines of the family's processes that run ``program``; some may be ending."""
    found = []
    for process in command.family():
        with suppress(psutil.NoSuchProcess):
            words = process.cmdline()
            if words and words[0].endswith(program):
                found.append(words)
    return found


def named(command: Command, part: str) -> psutil.Process:
    """The process of a replica or of PostgreSQL's postmaster."""
    for process in command.family():
        words = process.cmdline()
        if part == "postgres" and words and words[0].endswith("postgres"):
            return process
        if part == "replica" and words[-2:] == ["-m", "auth_service"]:
            return process
    raise AssertionError(f"no {part} among {command.family()}")


INTERRUPTIONS = [
    *((stage, signal.SIGINT) for stage in STAGES),
    *((stage, signal.SIGTERM) for stage in ("starting", "surge", "fixing")),
]


@pytest.mark.parametrize(("stage", "number"), INTERRUPTIONS)
def test_a_signal_ends_everything_within_five_seconds(
    tmp_path: Path, stage: str, number: signal.Signals
) -> None:
    with running(tmp_path / "runs") as command:
        command.wait_for(stage, lambda: STAGES[stage](command))
        family = command.family()
        command.process.send_signal(number)
        remaining = wait_gone(family, within_s=5.0)
        code, _, stderr = command.end()
    assert remaining == []
    if stage in ("before anything", "saving"):
        # Before the command has begun there is nothing to keep; after the run it ends as it would.
        assert code in (0, 1, 3, -number)
        return
    assert code == 3, stderr
    assert f"stopped by {number.name}" in stderr
    directory = command.directory
    assert directory is not None
    assert str(directory) in stderr.replace("\n", "")
    recording = read_recording(directory)
    assert (recording.info.status, recording.info.why) == ("partial", f"stopped by {number.name}")
    assert json.loads((directory / "verdict.json").read_text())["outcome"] == "invalid"


@pytest.mark.parametrize("stage", ["starting", "surge"])
def test_killing_the_harness_leaves_no_process(tmp_path: Path, stage: str) -> None:
    with running(tmp_path / "runs") as command:
        command.wait_for(stage, lambda: STAGES[stage](command))
        command.wait_for(
            "PostgreSQL", lambda: any("postgres" in p.name() for p in command.family())
        )
        family = command.family()
        os.kill(command.process.pid, signal.SIGKILL)
        command.end()
        assert wait_gone(family, within_s=5.0) == []
    directory = command.directory
    assert directory is not None
    assert json.loads((directory / "run.json").read_text())["status"] == "running"
    assert not (directory / "verdict.json").exists()


def test_a_killed_replica_is_recorded_and_the_run_goes_on(tmp_path: Path) -> None:
    with running(tmp_path / "runs", "--json") as command:
        command.wait_for("the surge", lambda: command.event_seen('"surge"'))
        named(command, "replica").kill()
        command.wait_for("its death", lambda: command.event_seen("part-died"))
        family = command.family()
        code, stdout, _ = command.end()
        assert wait_gone(family, within_s=1.0) == []
    verdict = json.loads(stdout)
    assert code in (1, 3)
    assert verdict["outcome"] in ("fail", "invalid")
    died = next(check for check in verdict["checks"] if check["id"] == "run.parts_alive")
    assert died["outcome"] == "invalid"
    assert "replica-" in died["why"]
    assert "SIGKILL" in died["why"]
    assert command.directory is not None
    assert read_recording(command.directory).info.status == "complete"


def test_a_killed_database_ends_the_run_as_invalid(tmp_path: Path) -> None:
    with running(tmp_path / "runs") as command:
        command.wait_for("the surge", lambda: command.event_seen('"surge"'))
        family = command.family()
        named(command, "postgres").kill()
        assert wait_gone(family, within_s=8.0) == []
        code, _, stderr = command.end()
    assert code == 3
    assert "postgres died during the run" in stderr
    assert command.directory is not None
    recording = read_recording(command.directory)
    assert recording.info.status == "partial"
    assert recording.requests.height > 0


def test_an_unwritable_place_is_refused_before_anything_starts(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    out.write_text("a file is in the way")
    with running(out) as command:
        code, _, stderr = command.end()
    assert code == 2
    assert "PD006" in stderr
    assert "--out" in stderr


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "runs", "--stack", "postgresql://u:secret@192.0.2.1/x") as command:
        code, _, stderr = command.end()
    assert code == 2
    assert "PD004" in stderr
    assert "secret" not in stderr
