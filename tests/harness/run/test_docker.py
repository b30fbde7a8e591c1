"""Whole runs with the database in a container: as any other, and nothing stays in the engine."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from harness.recording import read_recording
from harness.stack.images import POSTGRES
from tests.harness.run.small import SMALL_YAML, Command, running, wait_gone
from tests.harness.stack import engine as in_engine

pytestmark = [pytest.mark.slow, pytest.mark.docker]

DOCKER = ("--stack", "docker")
GONE_WITHIN_S = 10.0


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What other people's runs have in the engine before this test's."""
    monkeypatch.delenv(POSTGRES.variable, raising=False)
    return set(in_engine.leftovers())


def wait_removed(before: set[str]) -> list[str]:
    """What a run still has in the engine after a while."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while (left := set(in_engine.leftovers()) - before) and time.monotonic() < deadline:
        time.sleep(0.2)
    return sorted(left)


def server_of(before: set[str]) -> str:
    """The name of the run's PostgreSQL container."""
    (name,) = [each for each in in_engine.names("postgres") if each not in before]
    return name


def error_of(command: Command) -> tuple[int, str]:
    code, _, stderr = command.end()
    return code, re.sub(r"\s+", " ", stderr)


def test_a_small_outage_with_its_database_in_a_container(
    tmp_path: Path, nothing_else: set[str]
) -> None:
    with running(tmp_path / "runs", "--json", *DOCKER) as command:
        command.wait_for("the surge", lambda: command.event_seen('"surge"'))
        assert server_of(nothing_else)
        code, stdout, stderr = command.judged()
    checks = json.loads(stdout)["checks"]
    not_passed = [check for check in checks if check["outcome"] != "pass"]
    assert (code, not_passed) == (0, []), stderr
    assert wait_removed(nothing_else) == []
    directory = command.directory
    assert directory is not None
    environment = json.loads((directory / "environment.json").read_text())
    assert environment["images"][POSTGRES.name].startswith("sha256:")
    assert environment["postgres"].split()[0].split(".")[0].isdigit()
    log = (directory / "logs" / "postgres.log").read_text()
    assert "database system is ready to accept connections" in log


def test_the_server_in_a_container_fails_over_and_grows(
    tmp_path: Path, nothing_else: set[str]
) -> None:
    """The data stays, so the logins that follow succeed again."""
    incident = tmp_path / "away.yaml"
    away = "  - {at: 5s, do: fail-over, for: 1s}\n"
    grows = "  - {at: 12s, do: raise-max-connections, max_connections: 80}\n"
    first, timeline, rest = SMALL_YAML.partition("timeline:\n")
    fix, end, rest = rest.partition("\n")
    incident.write_text("".join((first, timeline, away, fix, end, grows, rest)), "utf-8")
    with running(tmp_path / "runs", "--json", *DOCKER, incident=str(incident)) as command:
        _, stdout, stderr = command.end()
    # Its verdict is not the point: with the server away, the pools need not run full.
    assert command.directory is not None, stderr
    recording = read_recording(command.directory)
    assert recording.info.status == "complete", stderr
    assert not command.event_seen("part-died"), "an absence that was asked for is no death"
    samples = recording.samples
    limits = samples.filter(samples["metric"] == "pg_settings_max_connections")["value"]
    assert {60.0, 80.0} <= set(limits)
    late = recording.requests.filter(recording.requests["sent_s"] > 18)
    assert late.height > 30
    assert late.filter(late["outcome"] == "ok").height / late.height > 0.9
    assert json.loads(stdout)["arrivals"]["ok"] > 0
    assert wait_removed(nothing_else) == []


def test_a_killed_container_ends_the_run_as_invalid(tmp_path: Path, nothing_else: set[str]) -> None:
    with running(tmp_path / "runs", *DOCKER) as command:
        command.wait_for("the surge", lambda: command.event_seen('"surge"'))
        family = command.family()
        in_engine.client().containers.get(server_of(nothing_else)).kill()
        assert wait_gone(family, within_s=8.0) == []
        code, stderr = error_of(command)
    assert code == 3
    assert "PD014: postgres died during the run: postgres was ended by SIGKILL" in stderr
    assert wait_removed(nothing_else) == []
    assert command.directory is not None
    assert read_recording(command.directory).info.status == "partial"


@pytest.mark.parametrize("stage", ["starting", "surge"])
def test_nothing_stays_in_the_engine_when_the_harness_is_killed(
    tmp_path: Path, nothing_else: set[str], stage: str
) -> None:
    with running(tmp_path / "runs", *DOCKER) as command:
        if stage == "surge":
            command.wait_for("the surge", lambda: command.event_seen('"surge"'))
        else:
            command.wait_for("a volume", lambda: bool(set(in_engine.leftovers()) - nothing_else))
        os.kill(command.process.pid, signal.SIGKILL)
        command.end()
    assert wait_removed(nothing_else) == []


def test_a_signal_ends_a_start_in_the_engine(tmp_path: Path, nothing_else: set[str]) -> None:
    with running(tmp_path / "runs", *DOCKER) as command:
        command.wait_for("a volume", lambda: bool(set(in_engine.leftovers()) - nothing_else))
        command.process.send_signal(signal.SIGTERM)
        code, stderr = error_of(command)
    assert code == 3, stderr
    assert "stopped by SIGTERM" in stderr
    assert wait_removed(nothing_else) == []


def test_an_image_that_is_missing_is_an_infrastructure_error(
    tmp_path: Path, nothing_else: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES.variable, "pooldrill.invalid/postgres:18")
    with running(tmp_path / "runs", *DOCKER) as command:
        code, stderr = error_of(command)
    assert code == 4
    assert "PD017: the image pooldrill.invalid/postgres:18 is not on this machine" in stderr
    assert "`docker pull pooldrill.invalid/postgres:18`" in stderr
    assert wait_removed(nothing_else) == []


def test_no_engine_is_an_infrastructure_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with running(tmp_path / "runs", *DOCKER) as command:
        code, stderr = error_of(command)
    assert code == 4
    assert "PD016" in stderr
    assert "does not answer" in stderr
