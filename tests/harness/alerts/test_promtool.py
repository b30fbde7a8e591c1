"""Behaviour pinned for promtool: it finds what the lab found, and a changed rule fails its test."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from harness.alerts.engine import RuleEngine, check_rules
from harness.alerts.exporting import export_promtool
from harness.alerts.promtool import Pinned, promtool_files
from harness.alerts.rules import RuleSet, load_rules
from harness.alerts.series import Grid, SeriesTable, labels_of
from harness.alerts.timelines import RuleResult
from harness.errors import RunDirectoryError, UsageError

SCRAPES = 120


def an_outage() -> SeriesTable:
    """Half an hour: two pools fill up, one of them for a while; their target is lost once."""
    scrape = np.arange(SCRAPES)
    full = np.where((scrape > 20) & (scrape < 60), 10.0, 5.0)
    timeouts = np.cumsum(np.where((scrape > 30) & (scrape < 50), scrape % 7, 0)).astype(float)
    timeouts[70:] -= timeouts[69]
    pending = np.abs(np.sin(scrape)) * 3
    pending[40:60] = 12.75
    pending[100:110] = np.nan
    series = {
        ("used", "a"): full,
        ("used", "b"): np.where(scrape < 30, full, 5.0),
        ("timeouts_total", 'x\\y"z\n'): timeouts,
        ("pending", "a"): pending,
        ("limit", "a"): np.full(SCRAPES, np.inf),
    }
    present = np.ones((len(series), SCRAPES), dtype=bool)
    present[3, 50:53] = present[3, 80:90] = False
    present[4, :10] = present[4, 100:] = False
    return SeriesTable(
        Grid(-300.0, 15.0, SCRAPES),
        tuple(labels_of({"__name__": name, "instance": where}) for name, where in series),
        np.array(list(series.values())),
        present,
    )


RULES = """
groups:
- name: pools
  labels: {team: dba}
  rules:
  - {record: "used:ratio", expr: used / 10}
  - alert: Full
    expr: used:ratio >= 0.9
    for: 2m
    keep_firing_for: 3m
    labels: {severity: page, on: "{{ $labels.instance }}"}
    annotations: {summary: "{{ $value }} of the pool"}
  - {alert: Never, expr: pending > 1e9}
  - {alert: Unlimited, expr: limit == Inf, for: 1m}
- name: others
  rules:
  - {alert: Timeouts, expr: "rate(timeouts_total[2m]) > 0", for: 1m}
  - {alert: Full, expr: pending > 12}
  - {alert: Both, expr: 'sum(ALERTS{alertname="Full",alertstate="firing"}) > 1'}
  - {alert: NotANumber, expr: pending != pending}
"""


def rules_of(folder: Path, text: str) -> RuleSet:
    path = folder / "given.yml"
    path.write_text(text, "utf-8")
    return load_rules([path])


def evaluated(rules: RuleSet, table: SeriesTable, interval_s: float = 15.0) -> Pinned:
    with RuleEngine([table], gap_s=rules.window_s + 300) as engine:
        found = engine.evaluate(rules, interval_s=interval_s)
    return Pinned("an outage", table, {rule: results[0] for rule, results in found.items()})


def promtool(test: Path) -> subprocess.CompletedProcess[str]:
    command = ["promtool", "test", "rules", str(test)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# -- promtool ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[RuleSet, Pinned]:
    """The rules, and what they did at an evaluation every 15 s."""
    rules = rules_of(tmp_path_factory.mktemp("rules"), RULES)
    return rules, evaluated(rules, an_outage())


@pytest.mark.prometheus
def test_promtool_finds_what_the_lab_found(scored: tuple[RuleSet, Pinned], tmp_path: Path) -> None:
    rules, pinned = scored
    fired = {rule.alert for rule, result in pinned.results.items() if result.firings}
    assert fired == {"Full", "Unlimited", "Timeouts", "Both", "NotANumber"}
    (test,) = export_promtool(rules, [pinned], tmp_path, interval_s=15.0)
    check_rules(load_rules([tmp_path / "rules.yml"]))
    done = promtool(test)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.prometheus
def test_evaluations_between_scrapes_are_pinned_as_well(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, RULES)
    pinned = evaluated(rules, an_outage(), 20.0)
    (test,) = export_promtool(rules, [pinned], tmp_path, interval_s=20.0)
    done = promtool(test)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.prometheus
@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        (">= 0.9", ">= 0.4", "alertname: Full"),
        ("for: 2m", "for: 3m", "alertname: Full"),
        ("severity: page", "severity: ticket", "alertname: Full"),
        ("pending > 1e9", "pending > 1", "Never"),
    ],
)
def test_a_changed_rule_fails_its_test(
    scored: tuple[RuleSet, Pinned], tmp_path: Path, was: str, becomes: str, said: str
) -> None:
    rules, pinned = scored
    (test,) = export_promtool(rules, [pinned], tmp_path, interval_s=15.0)
    exported = tmp_path / "rules.yml"
    text = exported.read_text("utf-8")
    assert was in text
    exported.write_text(text.replace(was, becomes), "utf-8")
    done = promtool(test)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


@pytest.mark.prometheus
def test_groups_of_two_intervals_go_to_two_files(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        "groups:\n"
        "- {name: g, rules: [{alert: Soon, expr: used > 9, for: 1m}]}\n"
        "- {name: h, interval: 1m, rules: [{alert: Late, expr: used > 9, for: 5m}]}\n",
    )
    tests = export_promtool(
        rules, [evaluated(rules, an_outage())], tmp_path / "out", interval_s=15.0
    )
    assert [test.name for test in tests] == ["rules-15s.test.yml", "rules-1m.test.yml"]
    for test in tests:
        done = promtool(test)
        assert done.returncode == 0, done.stdout + done.stderr


def silent(rules: RuleSet, table: SeriesTable) -> Pinned:
    return Pinned("quiet", table, {r: RuleResult((), SCRAPES, 0, 0.0) for r in rules.alerts})


def test_what_one_test_file_cannot_say_is_refused(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        "groups:\n"
        "- {name: g, interval: 30s, rules: [{record: r, expr: used}]}\n"
        "- {name: h, interval: 1m, rules: [{alert: Reads, expr: r > 9}]}\n",
    )
    with pytest.raises(UsageError, match="Reads is evaluated each 1m and reads r"):
        promtool_files(rules, [silent(rules, an_outage())], interval_s=15.0)


def test_rules_that_could_not_be_evaluated_are_left_out_and_named(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        "groups:\n- name: g\n  rules:\n  - {alert: Good, expr: used > 9}\n"
        "  - {alert: Bad, expr: used > 9}\n",
    )
    pinned = silent(rules, an_outage())
    failed = RuleResult((), 0, 0, 0.0, failed="two alerts\nwith the same labels")
    broken = replace(pinned, results={**pinned.results, rules.named("Bad"): failed})
    files = promtool_files(rules, [pinned, broken], interval_s=15.0)
    assert "# left out: Bad: two alerts with the same labels\n" in files["rules.yml"]
    assert "alert: Bad" not in files["rules.yml"]
    assert "Bad" not in files["rules.test.yml"]
    with pytest.raises(UsageError, match="no alert to be pinned"):
        promtool_files(rules.only(["Bad"]), [broken], interval_s=15.0)


def test_groups_of_one_name_from_two_files_keep_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yml").write_text(
            f"groups: [{{name: g, rules: [{{alert: {name}, expr: used > 9}}]}}]\n", "utf-8"
        )
    rules = load_rules([tmp_path / "one.yml", tmp_path / "two.yml"])
    files = promtool_files(rules, [silent(rules, an_outage())], interval_s=15.0)
    names = [group["name"] for group in yaml.safe_load(files["rules.yml"])["groups"]]
    assert names == ["g", "g (2)"]
    assert yaml.safe_load(files["rules.test.yml"])["group_eval_order"] == names


def test_only_series_that_a_rule_can_select_are_given(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, 'groups: [{name: g, rules: [{alert: A, expr: "used > 9"}]}]\n')
    files = promtool_files(rules, [silent(rules, an_outage())], interval_s=15.0)
    (test,) = yaml.safe_load(files["rules.test.yml"])["tests"]
    assert [each["series"] for each in test["input_series"]] == [
        'used{instance="a"}',
        'used{instance="b"}',
    ]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    rules = rules_of(tmp_path, 'groups: [{name: g, rules: [{alert: A, expr: "used > 9"}]}]\n')
    with pytest.raises(RunDirectoryError, match="file cannot be written"):
        export_promtool(rules, [silent(rules, an_outage())], tmp_path / "file", interval_s=15.0)
