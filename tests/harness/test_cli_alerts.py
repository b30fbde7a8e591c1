"""``pooldrill alerts``, from the outside: what it prints, and with which exit code."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest

from harness.alerts.engine import FOLDER
from harness.cli import main
from harness.cli.option_values import seed_range, spread
from harness.errors import UsageError
from harness.stack.process import wait_until
from tests.recordings import synthetic_recording

RULES = """\
groups:
- name: g
  rules:
  - alert: Pending
    expr: max by (instance) (db_client_connection_pending_requests) > 3
    for: 30s
    labels: {severity: page}
  - alert: Nowhere
    expr: no_such_metric > 0
"""


@dataclass(frozen=True)
class Ended:
    """What a command said, and with which exit code it ended."""

    returncode: int
    stdout: str
    stderr: str


def pooldrill(*arguments: str | Path, path: str | None = None) -> Ended:
    """``pooldrill alerts …`` in this process; starting Python each time would take minutes."""
    said, complained = io.StringIO(), io.StringIO()
    words = ["pooldrill", "alerts", *map(str, arguments)]
    changed = {"COLUMNS": "160"} | ({"PATH": path} if path else {})
    with (
        mock.patch.object(sys, "argv", words),
        mock.patch.dict(os.environ, changed),
        redirect_stdout(said),
        redirect_stderr(complained),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return Ended(int(ended.value.code or 0), said.getvalue(), complained.getvalue())


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    synthetic_recording(folder / "outage")
    return folder


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yml"
    path.write_text(RULES, "utf-8")
    return path


@pytest.mark.prometheus
def test_score_says_when_it_fired_how_early_and_what_is_dead(rules: Path, recordings: Path) -> None:
    ended = pooldrill("score", rules, "-r", recordings, "--json")
    assert ended.returncode == 0, ended.stderr
    data = json.loads(ended.stdout)
    by_name = {rule["alert"]: rule for rule in data["rules"]}
    (outcome,) = by_name["Pending"]["incidents"]
    assert by_name["Pending"]["status"] == "ok"
    assert (by_name["Pending"]["precision"], by_name["Pending"]["recall"]) == (1, 1)
    assert {"incident", "seed", "source", "state", "fired_s", "lead_s", "reset_s"} <= set(outcome)
    assert (outcome["incident"], outcome["state"], outcome["source"]) == (
        "undersized-pool", "fired", "replay",
    )  # fmt: skip
    # The surge comes at 600 s: three scrapes later it fires.
    assert 615 <= outcome["fired_s"] <= 660
    harm_s = min(
        data["recordings"][0]["first_pool_timeout_s"], data["recordings"][0]["slo_breach_s"]
    )
    assert outcome["lead_s"] == pytest.approx(harm_s - outcome["fired_s"] - 30)
    assert by_name["Nowhere"]["status"] == "dead"
    assert "missing metric: no_such_metric" in by_name["Nowhere"]["why"]


@pytest.mark.prometheus
def test_requirements_are_judged_one_by_one_and_the_worst_decides(
    rules: Path, recordings: Path
) -> None:
    asked = {
        "recall(all) >= 1": True,
        "fires on undersized-pool": True,
        "lead(Pending) >= 60s": False,
        "Nowhere fires on undersized-pool": False,
        "silent on benign": None,
    }
    words = [word for requirement in asked for word in ("--require", requirement)]
    ended = pooldrill("score", rules, "-r", recordings, "--json", *words)
    met = {each["requirement"]: each["met"] for each in json.loads(ended.stdout)["requirements"]}
    assert (met, ended.returncode) == (asked, 1)
    shown = pooldrill("score", rules, "-r", recordings, "--require", "silent on benign")
    assert shown.returncode == 3, "what was not measured is no pass"
    assert "? silent on benign  no such recording" in shown.stdout


@pytest.mark.prometheus
def test_rules_that_look_back_further_than_the_recording_are_unknown(
    tmp_path: Path, recordings: Path
) -> None:
    path = tmp_path / "long.yml"
    path.write_text(
        "groups:\n- name: g\n  rules:\n  - {alert: Long, expr: 'max_over_time(up[5h]) > 7'}\n"
    )
    ended = pooldrill("score", path, "-r", recordings, "--hold", "0s", "--json")
    # The baseline is held for as long as the rule looks back, so that it can be judged.
    assert json.loads(ended.stdout)["rules"][0]["incidents"][0]["state"] == "silent"
    full = tmp_path / "full"
    synthetic_recording(full)
    info = json.loads((full / "run.json").read_text("utf-8"))
    (full / "run.json").write_text(json.dumps(info | {"source": "full-length"}), "utf-8")
    ended = pooldrill("score", path, "-r", full, "--json")
    (outcome,) = json.loads(ended.stdout)["rules"][0]["incidents"]
    assert outcome["state"] == "unknown"
    assert "shorter than" in outcome["why"]
    assert ended.returncode == 3


@pytest.mark.prometheus
def test_sweep_and_recommend(rules: Path, recordings: Path, tmp_path: Path) -> None:
    grid = (rules, "--alert", "Pending", "--threshold", "1..40/4", "--for", "0s..2m/3")
    picture = tmp_path / "sweep.html"
    swept = pooldrill("sweep", *grid, "-r", recordings, "--json", "--heat-map", picture)
    data = json.loads(swept.stdout)
    assert len(data["cells"]) == 12
    assert any(cell["on_front"] for cell in data["cells"])
    leads = [c["lead_s"] for c in data["cells"] if c["threshold"] == 1 and c["caught"]]
    assert leads == sorted(leads, reverse=True), "who waits longer comes later"
    assert "plotly" in picture.read_text("utf-8")
    chosen = tmp_path / "chosen.yml"
    ended = pooldrill("recommend", *grid, "-r", recordings, "--out", chosen)
    assert ended.returncode == 0, ended.stderr
    assert "# Chosen from 4 x 3 thresholds and waits" in chosen.read_text("utf-8")
    again = pooldrill("score", chosen, "-r", recordings, "--require", "recall(Pending) >= 1")
    assert again.returncode == 0


@pytest.mark.prometheus
def test_evaluate_writes_alerts_into_the_run_and_its_reports(tmp_path: Path) -> None:
    run = synthetic_recording(tmp_path / "run")
    ended = pooldrill("evaluate", run)
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in (run / "alerts.jsonl").read_text("utf-8").splitlines()]
    assert {line["alert"] for line in lines} >= {"PoolPending", "LoginsFail"}
    verdict = json.loads((run / "verdict.json").read_text("utf-8"))
    alerts = {alert["name"]: alert for alert in verdict["alerts"]}
    assert alerts["PoolPending"]["state"] == "fired"
    assert "What the alerts would have done" in (run / "postmortem.md").read_text("utf-8")


@pytest.mark.prometheus
def test_export_pins_what_was_found(rules: Path, recordings: Path, tmp_path: Path) -> None:
    for form, name in (
        ("promtool", "rules.test.yml"),
        ("openmetrics", "undersized-pool-1.openmetrics"),
        ("lapilli", "incidents.yaml"),
    ):
        folder = tmp_path / form
        ended = pooldrill("export", rules, "-r", recordings, "--format", form, "--out", folder)
        assert ended.returncode == 0, ended.stderr
        assert (folder / name).stat().st_size > 100


def error_of(*arguments: str | Path, path: str | None = None) -> dict[str, Any]:
    ended = pooldrill(*arguments, "--json", path=path)
    error: dict[str, Any] = json.loads(ended.stdout)["error"]
    assert ended.returncode == error["exit_code"]
    assert error["remedy"]
    return error


@pytest.mark.prometheus
@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("groups:", "groups: [", 2, "not valid YAML"),
        ("for: 30s", "for: soon", 6, "not a duration"),
        ("no_such_metric > 0", "'no_such_metric >'", 9, "not PromQL"),
        ("labels: {severity: page}", "labels: {bad-name: x}", 4, "invalid label name"),
    ],
)
def test_broken_rules_name_file_and_line(
    rules: Path, recordings: Path, old: str, new: str, line: int, said: str
) -> None:
    rules.write_text(RULES.replace(old, new), "utf-8")
    error = error_of("score", rules, "-r", recordings)
    assert (error["code"], error["exit_code"]) == ("PD007", 2)
    assert any(
        said in p["message"] and p["line"] == line and p["file"] == str(rules)
        for p in error["problems"]
    ), error


@pytest.mark.prometheus
def test_bad_input_is_refused_before_anything_is_evaluated(
    rules: Path, recordings: Path, tmp_path: Path
) -> None:
    unknown = error_of("score", rules, "-r", recordings, "--alert", "Pendign")
    assert "Did you mean: Pending" in unknown["remedy"]
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    assert error_of("score", rules, "-r", nothing)["exit_code"] == 3
    assert error_of("score", rules, "-r", tmp_path / "nowhere")["exit_code"] == 2
    assert error_of("score", tmp_path / "no.yml", "-r", recordings)["exit_code"] == 2
    assert error_of("score", rules, "-r", recordings, "--scrape", "1")["exit_code"] == 2
    assert error_of("score", rules, "-r", recordings, "--require", "be good")["exit_code"] == 2
    swept = error_of("sweep", rules, "--alert", "Pending", "--threshold", "9..1", "-r", recordings)
    assert swept["code"] == "PD001"


@pytest.mark.prometheus
def test_a_recording_without_samples_is_named(rules: Path, tmp_path: Path) -> None:
    import polars as pl

    from harness.recording import SAMPLES
    from harness.writing import write_parquet

    run = synthetic_recording(tmp_path / "run")
    write_parquet(run / "samples.parquet", pl.DataFrame(schema=SAMPLES))
    error = error_of("score", rules, "-r", run)
    assert (error["code"], error["exit_code"]) == ("PD008", 3)
    assert str(run) in error["message"]


def test_without_prometheus_it_is_invalid_and_says_what_to_do(
    rules: Path, recordings: Path
) -> None:
    for command in (
        ("score", rules),
        ("sweep", rules, "--alert", "Pending", "--threshold", "1..9"),
        ("export", rules, "--out", rules.parent / "out"),
    ):
        error = error_of(*command, "-r", recordings, path="/nonexistent")
        assert (error["code"], error["exit_code"]) == ("PD008", 3)
        assert "make setup" in error["remedy"]


def test_an_unreachable_prometheus_leaves_nothing_behind(tmp_path: Path) -> None:
    error = error_of(
        "import", "http://127.0.0.1:9", "--from", "2026-01-01T00:00Z", "--to", "2026-01-01T01:00Z",
        "--name", "x", "--out", tmp_path / "runs",
    )  # fmt: skip
    assert (error["code"], error["exit_code"]) == ("PD009", 3)
    assert not list((tmp_path / "runs").glob("*")) if (tmp_path / "runs").exists() else True


@pytest.mark.parametrize(
    ("text", "values"),
    [("1..3/3", [1, 2, 3]), ("5", [5]), ("0..1/2", [0, 1]), ("2..2", [2])],
)
def test_a_range_is_spread_evenly(text: str, values: list[float]) -> None:
    assert spread(text, float, "--threshold") == values
    assert len(spread("0..10", float, "--threshold")) == 20


@pytest.mark.parametrize("text", ["", "3..1", "a..b", "1..2/0", "1..2/1000"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        spread(text, float, "--threshold")


def test_seeds_are_one_or_a_range() -> None:
    assert seed_range("3") == [3]
    assert seed_range("1..3") == [1, 2, 3]
    for text in ("3..1", "x", "1..", "1..5000"):
        with pytest.raises(UsageError):
            seed_range(text)


def busy_with_rules() -> list[psutil.Process]:
    """Prometheus and promtool processes that work for an alert lab."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if process.info["name"] in ("prometheus", "promtool") and FOLDER in words:
            found.append(process)
    return found


@pytest.mark.slow
@pytest.mark.prometheus
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_lab_that_was_killed(
    rules: Path, recordings: Path, number: signal.Signals, tmp_path: Path
) -> None:
    many = tmp_path / "many.yml"
    many.write_text(
        "groups:\n- name: g\n  rules:\n"
        + "".join(
            f"  - {{alert: A{n}, expr: 'avg_over_time(up[1h:15s]) > {n + 1}'}}\n"
            for n in range(900)
        )
    )
    others = {process.pid for process in busy_with_rules()}
    words = [sys.executable, "-m", "harness", "alerts", "score", str(many), "-r", str(recordings)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    lab = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)

    def ours() -> list[psutil.Process]:
        return [process for process in busy_with_rules() if process.pid not in others]

    wait_until("the lab to be at work", ours, timeout_s=30)
    lab.send_signal(number)
    code = lab.wait(30)
    assert code == (-9 if number == signal.SIGKILL else 3)
    wait_until("its processes to be gone", lambda: not ours(), timeout_s=15)
    wait_until("its folder to be gone", lambda: not list(tmp_path.glob(f"{FOLDER}*")), timeout_s=15)
