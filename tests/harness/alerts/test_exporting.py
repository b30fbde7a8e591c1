"""What other tools are given: read back by them, or by a reader of their notation."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.alerts.engine import RuleEngine, check_rules
from harness.alerts.expansion import Expanded, LabTime
from harness.alerts.exporting import (
    Pinned,
    export_openmetrics,
    export_promtool,
    lapilli,
    promtool_files,
    series_values,
)
from harness.alerts.rules import RuleSet, load_rules
from harness.alerts.score import Subject
from harness.alerts.series import Grid, SeriesTable, labels_of
from harness.alerts.timelines import RuleResult
from harness.errors import RunDirectoryError, UsageError
from harness.timemap import Knot, TimeMap

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


# -- promtool's notation -----------------------------------------------------------------------


def read_values(text: str) -> tuple[list[float], list[bool]]:
    """Values and presence as promtool's documentation reads the notation."""
    values: list[float] = []
    present: list[bool] = []
    for token in text.split():
        if token == "stale":
            values.append(0.0)
            present.append(False)
        elif token[0] == "_":
            count = int(token[2:] or 1)
            values += [0.0] * count
            present += [False] * count
        else:
            found = re.fullmatch(r"(.+?)(?:([+-]\d+)x(\d+))?", token)
            assert found is not None
            start, step, times = found.groups()
            value = float(start)
            for _ in range(int(times or 0) + 1):
                values.append(value)
                present.append(True)
                value += float(step or 0)
    return values, present


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([5, 5, 5, 5], "5+0x3"),
        ([0, 2, 4, 6, 6], "0+2x3 6"),
        ([9, 6, 3], "9-3x2"),
        ([0.1, 0.2, 0.3], "0.1 0.2 0.3"),
        ([0.1, 0.1, 0.1], "0.1+0x2"),
        ([None, None, None, 1, None, None, 2], "_x3 1 stale _ 2"),
        ([1, None, None], "1 stale"),
        ([np.nan, np.nan, np.nan, np.inf, -np.inf], "NaN+0x2 Inf -Inf"),
        ([1e-07, 2e300], "1e-07 2e+300"),
    ],
)
def test_series_as_promtool_writes_them(values: list[float | None], text: str) -> None:
    present = np.array([value is not None for value in values])
    numbers = np.array([0.0 if value is None else value for value in values])
    assert series_values(numbers, present) == text


VALUE = st.one_of(
    st.none(), st.integers(-3, 3).map(float), st.floats(width=64), st.sampled_from([0.1, 2.0**53])
)


@given(st.lists(st.one_of(VALUE.map(lambda v: [v]), VALUE.map(lambda v: [v] * 5)), max_size=12))
def test_series_survive_the_notation(stretches: list[list[float | None]]) -> None:
    values = [value for stretch in stretches for value in stretch]
    present: NDArray[np.bool_] = np.array([value is not None for value in values], dtype=bool)
    numbers = np.array([0.0 if value is None else value for value in values], dtype=float)
    read, there = read_values(series_values(numbers, present))
    seen = len(there)
    assert there == present[:seen].tolist()
    assert not present[seen:].any()
    np.testing.assert_array_equal(np.array(read)[present[:seen]], numbers[present])


# -- OpenMetrics -------------------------------------------------------------------------------


def at_length(table: SeriesTable) -> Expanded:
    return Expanded(table, LabTime((), TimeMap((Knot(0.0, 0.0, 1.0),))))


def test_a_recording_is_written_whole(tmp_path: Path) -> None:
    table = an_outage()
    path = tmp_path / "series.txt"
    written = export_openmetrics(at_length(table), path, 1_700_000_000.0)
    lines = path.read_text("utf-8").splitlines()
    assert written == int(table.present.sum()) == len(lines) - 1
    assert lines[0] == 'used{instance="a"} 5.0 1699999700'
    assert lines[-1] == "# EOF"
    assert [each.name for each in tmp_path.iterdir()] == ["series.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no-such-folder" / "series.txt"
    with pytest.raises(RunDirectoryError, match=r"series\.txt cannot be written"):
        export_openmetrics(at_length(an_outage()), path, 0.0)
    (tmp_path / "file").touch()
    rules = rules_of(tmp_path, 'groups: [{name: g, rules: [{alert: A, expr: "used > 9"}]}]\n')
    with pytest.raises(RunDirectoryError, match="file cannot be written"):
        export_promtool(rules, [silent(rules, an_outage())], tmp_path / "file", interval_s=15.0)


# -- Lapilli -----------------------------------------------------------------------------------


def subject(name: str, *, benign: bool = False, recovered_s: float | None = None) -> Subject:
    return Subject(
        incident=name,
        seed=1,
        source="replay",
        benign=benign,
        begin_s=-600.0,
        end_s=3600.0,
        onset_s=600.0,
        outage_end_s=1800.0,
        first_pool_timeout_s=None,
        slo_breach_s=None,
        recovered_s=recovered_s,
    )


def test_incidents_for_lapilli() -> None:
    zero = 1_700_006_400.0  # 2023-11-15T00:00:00Z
    text = lapilli(
        [
            (subject("undersized-pool", recovered_s=1805.5), zero),
            (subject("busy-morning", benign=True), zero),
            (subject("undersized-pool"), zero + 7200),
        ],
        labels={"service": "login"},
    )
    first, second = yaml.safe_load(text)["incidents"]
    assert first["id"] == "undersized-pool-1"
    assert second["id"] == "undersized-pool-1-2"
    assert first["title"] == "undersized-pool (replay, seed 1)"
    assert first["labels"] == {"service": "login"}
    # Read as texts: YAML's own timestamps would lose that they are RFC 3339 with an offset.
    assert "start: '2023-11-15T00:10:00Z'\n" in text
    assert "end: '2023-11-15T00:30:05.500Z'\n" in text
    assert "end: '2023-11-15T02:30:00Z'\n" in text


def test_without_incidents_lapilli_is_told_so() -> None:
    assert lapilli([(subject("busy-morning", benign=True), 0.0)]) == "incidents: []\n"
