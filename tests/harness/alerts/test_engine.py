"""Rules evaluated by a real Prometheus, and proved to be what it would have done live."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest

from harness.alerts.engine import RuleEngine, check_rules
from harness.alerts.rules import RuleSet, load_rules
from harness.alerts.series import Grid, SeriesTable, labels_of
from harness.errors import EvaluationError, RulesError
from harness.stack.ports import free_port
from harness.stack.process import Child, wait_until
from harness.stack.prometheus import Program, find_program

pytestmark = pytest.mark.prometheus


def table(series: dict[str, list[float | None]], *, step_s: float = 15.0) -> SeriesTable:
    """Series by name, a value a scrape; None where the target did not show it."""
    count = len(next(iter(series.values())))
    values = np.array([[0.0 if v is None else v for v in row] for row in series.values()])
    present = np.array([[v is not None for v in row] for row in series.values()])
    labels = tuple(
        labels_of({"__name__": name.partition("@")[0], "instance": name.partition("@")[2] or "a"})
        for name in series
    )
    return SeriesTable(Grid(0.0, step_s, count), labels, values, present)


def rules_of(folder: Path, text: str) -> RuleSet:
    path = folder / "rules.yml"
    path.write_text(text, "utf-8")
    return load_rules([path])


def one_rule(folder: Path, expr: str, *, wait: str = "0s", more: str = "") -> RuleSet:
    return rules_of(
        folder,
        f"groups:\n- name: g\n  rules:\n  - alert: A\n    expr: '{expr}'\n    for: {wait}\n{more}",
    )


SHAPES = {
    "pending": ("pending > 0", "30s", 45),
    "full": ("used / max >= 1", "1m", 75),
    "timeouts": ("rate(timeouts_total[30s]) > 0", "0s", 75),
    "queue-2m": ("pending > 20", "2m", 135),
    "queue-5m": ("pending > 20", "5m", 315),
    "busy-10m": ("used / max > 0.8", "10m", 615),
}
"""Six common shapes and their ideal detection, seconds after the onset of rho = 2 with T = 30 s."""


def overload(count: int = 60, onset: int = 4) -> SeriesTable:
    """A pool of 10 that serves 100/s is asked for 200/s, from scrape ``onset`` on; T = 30 s.

    Half of what arrives queues; the first times out T * rho / (rho - 1) = 60 s after the onset.
    """
    after_s = np.maximum(0, np.arange(count) - onset) * 15.0
    pending = np.minimum(100 * after_s, 100 * 60.0).round()
    series = {
        "pending": pending,
        "used": np.where(after_s > 0, 10.0, 5.0),
        "max": np.full(count, 10.0),
        "timeouts_total": 100 * np.maximum(0, after_s - 60),
    }
    labels = tuple(labels_of({"__name__": name, "instance": "a"}) for name in series)
    values = np.array(list(series.values()))
    return SeriesTable(Grid(-15.0 * onset, 15.0, count), labels, values, np.ones_like(values, bool))


def test_six_shapes_fire_in_their_known_order(tmp_path: Path) -> None:
    text = "groups:\n- name: g\n  rules:\n" + "".join(
        f"  - {{alert: {name}, expr: '{expr}', for: {wait}}}\n"
        for name, (expr, wait, _) in SHAPES.items()
    )
    rules = rules_of(tmp_path, text)
    with RuleEngine([overload()], gap_s=rules.window_s) as engine:
        results = engine.evaluate(rules, interval_s=15)
    fired = {rule.alert: found[0].firings[0].fired_s for rule, found in results.items()}
    for name, (_, _, ideal_s) in SHAPES.items():
        assert abs(fired[name] - ideal_s) <= 15, (name, fired[name], ideal_s)
    order = [fired[name] for name in SHAPES]
    assert order == sorted(order)
    assert fired["pending"] < 60 < min(fired[name] for name in SHAPES if name != "pending")


def test_a_series_that_goes_is_gone_at_once_and_a_nan_is_a_sample(tmp_path: Path) -> None:
    rules = one_rule(tmp_path, "x >= 0 or x != x")
    rows: list[float | None] = [1, 1, None, None, 1, float("nan"), 1]
    with RuleEngine([table({"x": rows})], gap_s=300) as engine:
        (result,) = next(iter(engine.evaluate(rules, interval_s=15).values()))
    assert [(f.fired_s, f.resolved_s) for f in result.firings] == [(0, 30), (60, None)]


def test_counter_resets_are_no_negative_rates(tmp_path: Path) -> None:
    rules = one_rule(tmp_path, "rate(c_total[1m]) < 0 or rate(c_total[1m]) > 3")
    rows: list[float | None] = [0, 30, 60, 90, 0, 30, 60, 90]
    with RuleEngine([table({"c_total": rows})], gap_s=300) as engine:
        (result,) = next(iter(engine.evaluate(rules, interval_s=15).values()))
    assert result.true == 0


def test_recordings_do_not_see_each_other(tmp_path: Path) -> None:
    rules = one_rule(tmp_path, "max_over_time(x[1h]) > 5")
    quiet, loud = [0.0] * 20, [9.0] * 20
    tables = [table({"x": [*rows]}) for rows in (loud, quiet, loud, quiet)]
    with RuleEngine(tables, gap_s=rules.window_s) as engine:
        (results,) = engine.evaluate(rules, interval_s=15).values()
    assert [bool(result.firings) for result in results] == [True, False, True, False]


def test_rules_read_recording_rules_and_alerts(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        """\
groups:
- name: readers
  rules:
  - {alert: Quiet, expr: 'job:x:sum > 1 unless on () ALERTS{alertname="Loud",alertstate="firing"}'}
- name: makers
  rules:
  - {record: 'job:x:sum', expr: sum(x)}
  - {alert: Loud, expr: 'job:x:sum > 3', for: 15s}
""",
    )
    with RuleEngine([table({"x@a": [0, 1, 2, 2, 2], "x@b": [0, 1, 2, 2, 0]})], gap_s=300) as engine:
        results = {r.alert: found[0] for r, found in engine.evaluate(rules, interval_s=15).items()}
    assert [(f.fired_s, f.resolved_s) for f in results["Loud"].firings] == [(45, 60)]
    assert [(f.fired_s, f.resolved_s) for f in results["Quiet"].firings] == [(15, 45), (60, None)]


def test_a_group_keeps_its_own_interval(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        "groups:\n- name: g\n  interval: 1m\n  rules:\n  - {alert: A, expr: x > 0}\n",
    )
    rows: list[float | None] = [0, 1, 0, 0, 0, 0, 0, 0, 1]
    with RuleEngine([table({"x": rows})], gap_s=300) as engine:
        (result,) = next(iter(engine.evaluate(rules, interval_s=15).values()))
    assert (result.instants, [f.fired_s for f in result.firings]) == (3, [120])


def test_a_slower_groups_record_is_read_between_its_evaluations(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        """\
groups:
- name: slow
  interval: 1m
  rules: [{record: 'job:x:max', expr: max(x)}, {alert: Slow, expr: x > 100}]
- name: fast
  rules: [{alert: A, expr: 'job:x:max > 5', for: 45s}]
""",
    )
    rows: list[float | None] = [0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]
    with RuleEngine([table({"x": rows})], gap_s=300) as engine:
        results = {r.alert: found[0] for r, found in engine.evaluate(rules, interval_s=15).items()}
    assert [(f.pending_s, f.fired_s, f.resolved_s) for f in results["A"].firings] == [
        (60, 105, 120)
    ]


def test_labels_are_the_rules_and_templates_are_filled(tmp_path: Path) -> None:
    more = "    labels: {where: 'at {{ $labels.instance }}', instance: ''}\n"
    rules = one_rule(tmp_path, "x > 0", more=more)
    with RuleEngine([table({"x@b": [1, 1]})], gap_s=300) as engine:
        (result,) = next(iter(engine.evaluate(rules, interval_s=15).values()))
    assert [dict(a.labels) for a in result.alerts] == [{"alertname": "A", "where": "at b"}]


def test_what_prometheus_would_refuse_is_unknown_and_says_why(tmp_path: Path) -> None:
    more = "    labels: {instance: one}\n"
    rules = one_rule(tmp_path, "x > 0", more=more)
    with RuleEngine([table({"x@a": [1, 1], "x@b": [1, 1]})], gap_s=300) as engine:
        (result,) = next(iter(engine.evaluate(rules, interval_s=15).values()))
    assert "several alerts with the same labels" in result.failed


def test_promtools_opinion_comes_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: x > 0\n    labels: {bad-name: x}\n",
        "utf-8",
    )
    with pytest.raises(RulesError) as refused:
        check_rules(load_rules([path]))
    (problem,) = refused.value.problems
    assert problem.file == str(path)
    assert problem.line == 4
    assert "bad-name" in problem.message


def test_without_a_prometheus_it_is_invalid_and_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EvaluationError, match="make setup") as refused:
        RuleEngine([table({"x": [1]})], gap_s=300)
    assert refused.value.exit_code == 3


LIVE_RULES = """\
groups:
- name: live
  rules:
  - {record: 'job:level:sum', expr: sum(level)}
  - {alert: High, expr: level > 5, for: 3s, keep_firing_for: 4s}
  - {alert: Sum, expr: 'job:level:sum > 8', for: 2s}
  - {alert: Rate, expr: 'rate(work_total[4s]) > 4'}
  - {alert: Gone, expr: absent(flicker)}
  - {alert: There, expr: flicker > 0, for: 1s}
"""
LIVE_S = 30


class _Page(BaseHTTPRequestHandler):
    """Metrics that depend on how long this server has run."""

    began = 0.0

    def do_GET(self) -> None:
        at = time.monotonic() - self.began
        level = 9 if 5 <= at < 13 or 15 <= at < 17 or 22 <= at < 24 else 1
        lines = [f'level{{n="1"}} {level}', f'level{{n="2"}} {1 + at / 6}']
        lines.append(f"work_total {at if at < 12 else 12 + 9 * (at - 12) if at < 20 else at - 20}")
        if int(at) % 10 < 6:
            lines.append("flicker 1")
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def live(tmp_path: Path) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes changing metrics each second and evaluates LIVE_RULES live."""
    page = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    program, port = find_program(), free_port()
    assert isinstance(program, Program), "CI has a Prometheus; elsewhere the marker skips this"
    (tmp_path / "rules.yml").write_text(LIVE_RULES, "utf-8")
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}\n"
        f"rule_files: [{tmp_path / 'rules.yml'}]\n"
        f"scrape_configs: [{{job_name: page, static_configs: [{{targets: "
        f"['127.0.0.1:{page.server_port}']}}]}}]\n",
        "utf-8",
    )
    argv = [
        program.path,
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    _Page.began = time.monotonic()
    child = Child("prometheus", argv, log=tmp_path / "log")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client
    finally:
        child.stop(2)
        page.shutdown()
        page.server_close()


def raw(client: httpx.Client, selector: str, at: float) -> list[tuple[dict[str, str], list[float]]]:
    """The stored samples of the last minutes: labels, and the instants of those samples."""
    answer = client.post(
        "/api/v1/query", data={"query": f"{selector}[{LIVE_S + 60}s]", "time": f"{at:.3f}"}
    ).json()
    return [(item["metric"], item["values"]) for item in answer["data"]["result"]]


@pytest.mark.slow
def test_the_same_series_give_the_alerts_of_a_live_prometheus(
    live: httpx.Client, tmp_path: Path
) -> None:
    end = time.monotonic() + LIVE_S
    wait_until("the scenario to be over", lambda: time.monotonic() > end, timeout_s=LIVE_S + 5)
    now = time.time()
    found = raw(live, '{__name__=~"level|work_total|flicker"}', now)
    scrapes = sorted({float(at) for _, values in found for at, _ in values})
    steps = np.diff(scrapes)
    if len(scrapes) < LIVE_S - 6 or np.any(np.abs(steps - 1.0) > 0.05):
        pytest.skip("the machine was too busy for a scrape each second")
    series = SeriesTable(
        Grid(scrapes[0], 1.0, len(scrapes)),
        tuple(labels_of(labels) for labels, _ in found),
        np.array([_row(values, scrapes) for _, values in found]),
        np.array([_there(values, scrapes) for _, values in found]),
    )
    lived = {
        (labels["alertname"], labels.get("n", "")): [float(at) for at, _ in values]
        for labels, values in raw(live, 'ALERTS{alertstate="firing"}', now)
    }
    evaluations = sorted({at for instants in lived.values() for at in instants})
    offset_s = (evaluations[0] - scrapes[0]) % 1.0

    rules = load_rules([tmp_path / "rules.yml"])
    with RuleEngine([series], gap_s=300) as engine:
        results = engine.evaluate(rules, interval_s=1.0, offset_s=offset_s)
    begin, last = scrapes[0] + 6, scrapes[-1] - 1
    ours = {
        (rule.alert, dict(alert.labels).get("n", "")): [
            at
            for firing in alert.firings
            for at in np.arange(firing.fired_s, (firing.resolved_s or last + 1) - 0.5)
        ]
        for rule, (result,) in results.items()
        for alert in result.alerts
        if alert.firings
    }
    assert {alert for alert, _ in lived} == {"High", "Sum", "Rate", "Gone", "There"}
    for key in lived.keys() | ours.keys():
        expected = [round(at, 1) for at in lived.get(key, []) if begin < at < last]
        assert [round(at, 1) for at in ours.get(key, []) if begin < at < last] == expected, key


def _row(values: list[list[str]], scrapes: list[float]) -> list[float]:
    known = {float(at): float(value) for at, value in values}
    return [known.get(at, 0.0) for at in scrapes]


def _there(values: list[list[str]], scrapes: list[float]) -> list[bool]:
    known = {float(at) for at, _ in values}
    return [at in known for at in scrapes]


def test_promtool_agrees(tmp_path: Path) -> None:
    """The same series and rules under ``promtool test rules``, at each edge of what was found."""
    rules = one_rule(tmp_path, "x > 5", wait="30s")
    rows = [0, 9, 9, 9, 0, 9, 9, 9, 9, 0, 0]
    with RuleEngine([table({"x": [float(v) for v in rows]})], gap_s=300) as engine:
        (result,) = next(iter(engine.evaluate(rules, interval_s=15).values()))
    edges = {f.fired_s: True for f in result.firings} | {
        f.resolved_s: False for f in result.firings if f.resolved_s is not None
    }
    edges |= {f.fired_s - 15: False for f in result.firings}
    assert len(edges) == 6
    cases = "".join(
        f"  - {{eval_time: {at:g}s, alertname: A, exp_alerts: "
        f"[{'{exp_labels: {instance: a}}' if firing else ''}]}}\n"
        for at, firing in edges.items()
    )
    test = tmp_path / "test.yml"
    test.write_text(
        "rule_files: [rules.yml]\nevaluation_interval: 15s\ntests:\n- interval: 15s\n"
        f"  input_series: [{{series: 'x{{instance=\"a\"}}', values: '{' '.join(map(str, rows))} "
        "0x20'}]\n  alert_rule_test:\n" + cases,
        "utf-8",
    )
    done = subprocess.run(
        ["promtool", "test", "rules", str(test)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
