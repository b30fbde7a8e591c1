"""The commands, from the outside: what they print, where, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.recordings import synthetic_recording


def pooldrill(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def answer(*arguments: str | Path) -> Any:
    """Standard output as JSON: with ``--json`` nothing else may stand there."""
    return json.loads(pooldrill(*arguments, "--json").stdout)


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic_recording(tmp_path_factory.mktemp("runs") / "outage")


def test_list_names_every_incident() -> None:
    incidents = {incident["name"]: incident for incident in answer("list")}
    assert incidents["undersized-pool"]["duration_s"] == 10_200
    assert incidents["undersized-pool"]["replay_s"] <= 150
    assert "undersized-pool" in pooldrill("list").stdout


def test_show_prints_a_definition_that_can_be_read_again(tmp_path: Path) -> None:
    shown = pooldrill("show", "undersized-pool", "--set", "service.pool.size=40")
    assert shown.returncode == 0
    path = tmp_path / "mine.yaml"
    path.write_text(shown.stdout, "utf-8")
    assert answer("show", path)["service"]["pool"]["size"] == 40


def test_a_malformed_incident_is_refused_by_show_and_run_alike(tmp_path: Path) -> None:
    text = pooldrill("show", "undersized-pool").stdout
    path = tmp_path / "bad.yaml"
    path.write_text(text.replace("replicas: 2", "replicas: -1\n  repliccas: 2"), "utf-8")
    for command in ("show", "run"):
        ended = pooldrill(command, path, "--json")
        error = json.loads(ended.stdout)["error"]
        assert (ended.returncode, error["code"]) == (2, "PD002")
        fields = {problem["field"]: problem for problem in error["problems"]}
        assert set(fields) == {"service.replicas", "service.repliccas"}
        assert all(problem["line"] for problem in fields.values())
        assert "did you mean 'replicas'?" in fields["service.repliccas"]["message"]
        assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "undersised-pool"), "PD003", "Did you mean undersized-pool?"),
        (("run", "undersized-pool", "--set", "size"), "PD001", "--set service.pool.size=40"),
        (("judge", "nowhere"), "PD005", "no such run directory"),
        (("report", "nowhere"), "PD005", "no such run directory"),
    ],
)
def test_errors_say_what_is_wrong_and_what_to_do(
    arguments: tuple[str, ...], code: str, said: str
) -> None:
    ended = pooldrill(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert code in ended.stderr
    assert said in " ".join(ended.stderr.split())


def test_judge_gives_the_verdict_as_exit_code_and_writes_the_same_bytes(outage: Path) -> None:
    first = pooldrill("judge", outage, "--json")
    written = (outage / "verdict.json").read_bytes()
    assert first.returncode == 0
    assert first.stdout.encode() == written
    second = pooldrill("judge", outage)
    assert second.returncode == 0
    assert "PASS" in second.stdout
    assert (outage / "verdict.json").read_bytes() == written


def test_judge_fails_what_did_not_reproduce(tmp_path: Path) -> None:
    ended = pooldrill("judge", synthetic_recording(tmp_path / "run", pool_size=20))
    assert ended.returncode == 1
    assert "did not reproduce" in ended.stdout


def test_judge_calls_a_partial_run_invalid(tmp_path: Path) -> None:
    ended = pooldrill("judge", synthetic_recording(tmp_path / "run", partial_at_s=30.0))
    assert ended.returncode == 3
    assert "INVALID" in ended.stdout


def test_report_writes_every_format(outage: Path) -> None:
    written = answer("report", outage)
    assert set(written) == {"report.html", "postmortem.md", "junit.xml"}
    assert all(Path(path).stat().st_size > 500 for path in written.values())


def test_doctor_says_what_is_there_and_how_to_get_the_rest() -> None:
    findings = {finding["part"]: finding for finding in answer("doctor")}
    assert findings["postgresql (embedded)"]["state"] == "ok"
    assert findings["python"]["state"] == "ok"
    for finding in findings.values():
        assert finding["state"] == "ok" or finding["remedy"]


def test_schema_is_a_json_schema() -> None:
    assert answer("schema")["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("command", ["list", "show", "run", "judge", "report", "doctor", "schema"])
def test_every_command_has_an_example_to_copy(command: str) -> None:
    ended = pooldrill(command, "--help")
    assert ended.returncode == 0
    assert f"Example: pooldrill {command}" in ended.stdout


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--load-processes", "2", "--load-workers", "2"), "PD001", "--load-processes"),
        (("--load-master", "nowhere"), "PD001", "not HOST:PORT"),
        (("--load-master", "192.0.2.1:5557"), "PD001", "no IPv4 address of this machine"),
    ],
)
def test_a_load_that_cannot_be_is_refused_before_there_is_a_run(
    tmp_path: Path, options: tuple[str, ...], code: str, said: str
) -> None:
    refused = pooldrill("run", "short-spike", "--out", tmp_path / "runs", *options)
    assert refused.returncode == 2
    assert code in refused.stderr
    assert said in refused.stderr
    assert not (tmp_path / "runs").exists()
