"""Rule files: read as Prometheus reads them, refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.alerts.rules import RuleSet, duration, load_rules, seconds
from harness.errors import RulesError

GOOD = """\
groups:
- name: g
  interval: 30s
  labels: {team: auth}
  rules:
  - record: job:x:rate
    expr: sum(rate(x_total[10m]))
  - alert: A
    expr: job:x:rate > 5
    for: 1m30s
    keep_firing_for: 5m
    labels: {severity: page}
    annotations: {summary: "{{ $value }}"}
"""


def load(folder: Path, text: str) -> RuleSet:
    path = folder / "rules.yml"
    path.write_text(text, "utf-8")
    return load_rules([path])


def refused(folder: Path, text: str) -> RulesError:
    with pytest.raises(RulesError) as error:
        load(folder, text)
    return error.value


def test_a_rule_is_read_with_its_line_and_its_groups_labels(tmp_path: Path) -> None:
    rules = load(tmp_path, GOOD)
    (group,) = rules.groups
    record, alert = group.rules
    assert group.interval_s == 30
    assert (record.record, record.line) == ("job:x:rate", 6)
    assert (alert.alert, alert.line, alert.for_s, alert.keep_firing_for_s) == ("A", 8, 90, 300)
    assert dict(alert.labels) == {"team": "auth", "severity": "page"}
    assert rules.window_s == 600, "what it reads looks back ten minutes"
    assert rules.wants("x_total")
    assert not rules.wants("y_total")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("expr: job:x:rate > 5", "expr: 'sum(x'", 9, "not PromQL"),
        ("for: 1m30s", "for: 5 minutes", 10, "not a duration"),
        ("keep_firing_for", "keep_firing", 11, "did you mean 'keep_firing_for'?"),
        ("alert: A", "alert: ''", 8, "either `alert` or `record`"),
        ("    expr: job:x:rate > 5\n", "", 8, "needs an `expr`"),
        ("name: g", "nome: g", 2, "needs a name"),
        ("rules:\n  - record", "rules: 5\n  # - record", None, ""),
        ("groups:", "group:", 1, "unknown field 'group'"),
        ("labels: {severity: page}", "labels: [severity]", 12, "a mapping of names"),
        ("record: job:x:rate", "record: job:x:rate\n    for: 1m", 6, "has no for"),
    ],
)
def test_every_mistake_has_its_line(
    tmp_path: Path, old: str, new: str, line: int | None, said: str
) -> None:
    assert old in GOOD
    error = refused(tmp_path, GOOD.replace(old, new))
    assert error.exit_code == 2
    assert error.code == "PD007"
    assert any(said in problem.message for problem in error.problems)
    if line is not None:
        assert line in {p.line for p in error.problems if said in p.message}


def test_broken_yaml_names_its_line(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "groups:\n- name: g\n  rules: [}\n").problems
    assert problem.line == 3
    assert "not valid YAML" in problem.message


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(GOOD.replace("job:x:rate > 5", "sum("), "utf-8")
    (tmp_path / "b.yml").write_text("groups: 5\n", "utf-8")
    with pytest.raises(RulesError) as error:
        load_rules([tmp_path, tmp_path / "missing.yml"])
    files = {Path(problem.file or "").name for problem in error.value.problems}
    assert files == {"a.yml", "b.yml", "missing.yml"}


def test_empty_folders_and_files_without_rules_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match=r"no \*\.yml"):
        load_rules([tmp_path])
    assert "no rules in" in str(refused(tmp_path, "groups: []\n"))


def test_an_unknown_alert_comes_with_the_nearest(tmp_path: Path) -> None:
    rules = load(tmp_path, GOOD.replace("alert: A", "alert: PoolPending"))
    with pytest.raises(RulesError, match="Did you mean: PoolPending"):
        rules.named("PoolPendign")


def test_the_same_name_twice_cannot_be_asked_for(tmp_path: Path) -> None:
    twice = GOOD + "  - {alert: A, expr: x > 1}\n"
    with pytest.raises(RulesError, match="2 alerts are called 'A'"):
        load(tmp_path, twice).named("A")


def test_five_thousand_rules_are_refused_with_the_line_of_the_first_too_many(
    tmp_path: Path,
) -> None:
    lines = "".join(f"  - {{alert: A{n}, expr: x > {n}}}\n" for n in range(5000))
    error = refused(tmp_path, "groups:\n- name: g\n  rules:\n" + lines)
    (problem,) = error.problems
    assert "5000 rules; at most 2000" in problem.message
    assert problem.line == 3 + 2001
    assert "split" in error.remedy


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(RulesError, match="not UTF-8"):
        load_rules([tmp_path / "x.yml"])


@pytest.mark.parametrize(
    ("text", "value"),
    [("30s", 30), ("5m", 300), ("1h30m", 5400), ("0", 0), ("0m", 0), ("1d", 86400), ("500ms", 0.5)],
)
def test_durations_are_prometheuss(text: str, value: float) -> None:
    assert seconds(text) == value
    assert seconds(duration(value)) == value


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "1m1h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)
