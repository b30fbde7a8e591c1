"""The rules' behaviour, pinned as promtool's unit tests.

Whoever changes a rule sees what else changes. Checked with ``promtool test rules``, which needs
neither Pooldrill nor a recording.

Three habits of promtool's decide what its files look like. It evaluates every group at the file's
``evaluation_interval`` and takes no notice of a group's own, so groups of different intervals go
to files of their own. It wants an alert's annotations word for word, so the rules are written
again without them. It looks back five minutes where the lab looks back one scrape, so a series
that disappears is given a staleness marker, as Prometheus gives it one; and because it goes on
with a series' last value beyond its end (prometheus/prometheus#14500), nothing is asserted there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from harness.alerts.exposition import series_text
from harness.alerts.promtool_series import series_values
from harness.alerts.rules import Group, Rule, RuleSet, duration
from harness.alerts.series import NAME, Labels, SeriesTable
from harness.alerts.timelines import RuleResult
from harness.errors import UsageError

_FAST: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

TESTS = ".test.yml"
"""How the name of a file of tests ends."""


@dataclass(frozen=True)
class Pinned:
    """What alerts did on one recording: the series they saw, and a result for each of them."""

    name: str
    table: SeriesTable
    results: Mapping[Rule, RuleResult]


def promtool_files(
    rules: RuleSet, pinned: Sequence[Pinned], *, interval_s: float
) -> dict[str, str]:
    """Rules and their tests by file name: a pair for each evaluation interval.

    Rules that no recording could be evaluated with are left out; a comment names them. Groups
    without an interval are evaluated each ``interval_s`` seconds. Raises `UsageError` where rules
    read what rules of another interval record, and where nothing is left to test.
    """
    failed = _failed(pinned)
    rules = _without(rules, failed)
    if not rules.alerts:
        raise UsageError(
            "there is no alert to be pinned",
            remedy="Give a rule file with an alert that can be evaluated.",
        )
    parts = _by_interval(rules, interval_s)
    files = {}
    for every_s, part in parts.items():
        _require_alone(part, rules, every_s)
        mark = f"-{duration(every_s)}" if len(parts) > 1 else ""
        name = f"rules{mark}.yml"
        files[name] = promtool_rules(part, left_out=failed)
        files[f"rules{mark}{TESTS}"] = promtool_tests(
            part, pinned, interval_s=every_s, rules_file=name
        )
    return files


def promtool_rules(rules: RuleSet, *, left_out: Mapping[Rule, str] | None = None) -> str:
    """A rule file of all groups, without annotations."""
    names = _group_names(rules)
    groups = []
    for group, name in zip(rules.groups, names, strict=True):
        entry: dict[str, Any] = {"name": name}
        if group.interval_s is not None:
            entry["interval"] = duration(group.interval_s)
        entry["rules"] = [_rule_entry(rule) for rule in group.rules]
        groups.append(entry)
    comments = [_comment(f"left out: {r.name}: {why}") for r, why in (left_out or {}).items()]
    head = "# The rules that were scored, without their annotations.\n" + "".join(comments)
    return head + dumped({"groups": groups})


def promtool_tests(
    rules: RuleSet, pinned: Iterable[Pinned], *, interval_s: float, rules_file: str
) -> str:
    """promtool's unit tests of what the alerts in ``rules`` did on each recording.

    Every group is evaluated each ``interval_s`` seconds, as it was for the results. For each
    alert: silent before it first fires, firing with these labels, silent again once resolved; and
    at how many evaluations it fired in all.
    """
    names = _group_names(rules)
    document = {
        "rule_files": [rules_file],
        "evaluation_interval": duration(interval_s),
        # A rule sees what another records at the same instant only if that one was first.
        "group_eval_order": [names[index] for index in _evaluation_order(rules)],
        "tests": [_test(rules, each, interval_s) for each in pinned],
    }
    head = "# What the rules did on these recordings: `promtool test rules` with this file.\n"
    return head + dumped(document)


# -- the tests -----------------------------------------------------------------------------------


def _test(rules: RuleSet, pinned: Pinned, interval_s: float) -> dict[str, Any]:
    table = pinned.table
    grid = table.grid
    last_s = int(grid.length_s / interval_s + 1e-9) * interval_s
    by_name: dict[str, list[RuleResult]] = {}
    for rule in rules.alerts:
        if rule in pinned.results:
            by_name.setdefault(rule.alert, []).append(pinned.results[rule])
    cases: list[dict[str, Any]] = []
    counts: list[dict[str, Any]] = []
    for alert, results in by_name.items():
        cases += _cases(alert, results, grid.start_s, interval_s)
        counts.append(_count(alert, results, last_s, grid.start_s, interval_s))
    cases.sort(key=lambda case: case["eval_time"])
    return {
        "name": pinned.name,
        "interval": duration(grid.step_s),
        "input_series": [
            {"series": series_text(labels), "values": series_values(values, present)}
            for labels, values, present in _inputs(rules, table)
        ],
        "alert_rule_test": [{**case, "eval_time": duration(case["eval_time"])} for case in cases],
        "promql_expr_test": counts,
    }


def _inputs(
    rules: RuleSet, table: SeriesTable
) -> Iterator[tuple[Labels, NDArray[np.float64], NDArray[np.bool_]]]:
    """The series that a rule could select and no rule records."""
    recorded = {rule.record for rule in rules if rule.record}
    for labels, values, present in zip(table.labels, table.values, table.present, strict=True):
        name = dict(labels)[NAME]
        if present.any() and name not in recorded and rules.wants(name):
            yield labels, values, present


def _cases(
    alert: str, results: Sequence[RuleResult], start_s: float, interval_s: float
) -> Iterator[dict[str, Any]]:
    """The instants at which something changes for an alert, with all that fires there."""
    instants: set[float] = set()
    for series in (each for result in results for each in result.alerts if each.firings):
        first = series.firings[0]
        instants |= {first.fired_s - interval_s, first.fired_s}
        instants |= set() if first.resolved_s is None else {first.resolved_s}
    for at_s in sorted(each for each in instants if each >= start_s - 1e-6):
        firing = [
            {"exp_labels": {key: text for key, text in series.labels if key != "alertname"}}
            for result in results
            for series in result.alerts
            if any(
                firing.fired_s <= at_s + 1e-6
                and (firing.resolved_s is None or at_s < firing.resolved_s - 1e-6)
                for firing in series.firings
            )
        ]
        yield {
            "eval_time": round(at_s - start_s, 3),
            "alertname": alert,
            "exp_alerts": firing,
        }


def _count(
    alert: str, results: Sequence[RuleResult], last_s: float, start_s: float, interval_s: float
) -> dict[str, Any]:
    """At how many evaluations any of its alerts fired: the rest of its behaviour, in one number."""
    fired = 0
    for firing in (each for result in results for each in result.firings):
        end_s = start_s + last_s + interval_s if firing.resolved_s is None else firing.resolved_s
        fired += round((end_s - firing.fired_s) / interval_s)
    # Longer than the recording: the window's far end is open in Prometheus 3 and closed before.
    window = duration(last_s + interval_s)
    selected = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    return {
        "expr": f"sum(count_over_time({selected}[{window}]))",
        "eval_time": duration(last_s),
        "exp_samples": [{"labels": "{}", "value": fired}] if fired else [],
    }


# -- the rules -----------------------------------------------------------------------------------


def _rule_entry(rule: Rule) -> dict[str, Any]:
    entry: dict[str, Any] = {"record": rule.record} if rule.record else {"alert": rule.alert}
    entry["expr"] = rule.expr
    if rule.for_s:
        entry["for"] = duration(rule.for_s)
    if rule.keep_firing_for_s:
        entry["keep_firing_for"] = duration(rule.keep_firing_for_s)
    if rule.labels:
        entry["labels"] = dict(rule.labels)
    return entry


def _group_names(rules: RuleSet) -> list[str]:
    """A name for each group: a file holds none twice, several files may."""
    names: list[str] = []
    for group in rules.groups:
        name, number = group.name, 2
        while name in names:
            name, number = f"{group.name} ({number})", number + 1
        names.append(name)
    return names


def _failed(pinned: Iterable[Pinned]) -> dict[Rule, str]:
    failed: dict[Rule, str] = {}
    for each in pinned:
        for rule, result in each.results.items():
            if result.failed:
                failed.setdefault(rule, result.failed)
    return failed


def _without(rules: RuleSet, gone: Mapping[Rule, str]) -> RuleSet:
    kept = (
        Group(group.name, group.file, group.interval_s, rules_left)
        for group in rules.groups
        if (rules_left := tuple(rule for rule in group.rules if rule not in gone))
    )
    return RuleSet(tuple(kept))


def _by_interval(rules: RuleSet, interval_s: float) -> dict[float, RuleSet]:
    parts: dict[float, list[Group]] = {}
    for group in rules.groups:
        parts.setdefault(group.interval_s or interval_s, []).append(group)
    return {every_s: RuleSet(tuple(parts[every_s])) for every_s in sorted(parts)}


def _yields(rules: Iterable[Rule]) -> set[str]:
    return {rule.record or "ALERTS" for rule in rules}


def _reads(rule: Rule, names: Iterable[str]) -> bool:
    return any(selector.wants(name) for selector in rule.selectors for name in names)


def _require_alone(part: RuleSet, rules: RuleSet, every_s: float) -> None:
    """Refuse rules that read what is recorded at another interval: no test file has two."""
    own = set(part)
    others = [rule for rule in rules if rule not in own]
    for rule in part:
        read = [other for other in others if _reads(rule, _yields([other]))]
        if read:
            raise UsageError(
                f"{rule.place}: {rule.name} is evaluated each {duration(every_s)} and reads "
                f"{read[0].name}, which is not; a test of promtool's has one interval for all",
                remedy="Give their groups the same interval, or leave that alert out.",
            )


def _evaluation_order(rules: RuleSet) -> list[int]:
    """The groups by number, those that record before those that read; else as they stand."""
    groups = rules.groups
    yields = [_yields(group.rules) for group in groups]
    order: list[int] = []
    open_: set[int] = set()

    def place(index: int) -> None:
        if index in order or index in open_:
            return  # two groups that read each other: no order is right for both
        open_.add(index)
        for other in range(len(groups)):
            if other != index and any(_reads(rule, yields[other]) for rule in groups[index].rules):
                place(other)
        order.append(index)

    for index in range(len(groups)):
        place(index)
    return order


# -- text ----------------------------------------------------------------------------------------


def dumped(document: Any) -> str:
    """YAML, a series on one line."""
    text: str = yaml.dump(
        document,
        Dumper=_FAST,
        sort_keys=False,
        allow_unicode=True,
        width=2**31 - 1,  # a series stands on one line, however long
    )
    return text


def _comment(text: str) -> str:
    return f"# {' '.join(text.split())}\n"
