"""What the lab holds and found, in the formats of other tools.

* **OpenMetrics**: a recording at length, to be backfilled anywhere.
* **promtool's unit tests**: the rules' behaviour, pinned. Whoever changes a rule sees what else
  changes. Checked with ``promtool test rules``, which needs neither Pooldrill nor a recording.
* **Lapilli's incidents**: when something was wrong, for rules judged over a history by Lapilli.

Three habits of promtool's decide what its files look like. It evaluates every group at the file's
``evaluation_interval`` and takes no notice of a group's own, so groups of different intervals go
to files of their own. It wants an alert's annotations word for word, so the rules are written
again without them. It looks back five minutes where the lab looks back one scrape, so a series
that disappears is given a staleness marker, as Prometheus gives it one; and because it goes on
with a series' last value beyond its end (prometheus/prometheus#14500), nothing is asserted there.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from harness.alerts.expansion import Expanded
from harness.alerts.exposition import series_text, write_openmetrics
from harness.alerts.rules import Group, Rule, RuleSet, duration
from harness.alerts.score import Subject
from harness.alerts.series import NAME, Labels, SeriesTable
from harness.alerts.timelines import RuleResult
from harness.errors import UsageError
from harness.recording import unwritable, write_text

_FAST: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

EXACT = 2.0**53
"""Whole numbers below this are added without rounding, as promtool adds steps."""

SHORTEST_RUN = 3
"""Values that are worth a run: two are as short spelt out."""

_TESTS = ".test.yml"

LAB_LABELS: Mapping[str, str] = {"job": "auth"}
"""What the replicas' alerts have in common, for ``lapilli --match job``."""


@dataclass(frozen=True)
class Pinned:
    """What alerts did on one recording: the series they saw, and a result for each of them."""

    name: str
    table: SeriesTable
    results: Mapping[Rule, RuleResult]


def export_openmetrics(expanded: Expanded, path: Path, zero_epoch_s: float) -> int:
    """Write a recording at length to ``path``; how many samples.

    ``zero_epoch_s`` is the epoch second of its zero. Raises `RunDirectoryError`.
    """
    content = io.BytesIO()
    written = write_openmetrics([(expanded.table, zero_epoch_s)], content)
    _write(path, content.getvalue().decode())
    return written


def export_promtool(
    rules: RuleSet, pinned: Sequence[Pinned], folder: Path, *, interval_s: float
) -> tuple[Path, ...]:
    """Write `promtool_files` to ``folder``; the paths of the tests among them.

    Raises `UsageError` as that does, `RunDirectoryError` where it cannot be written.
    """
    files = promtool_files(rules, pinned, interval_s=interval_s)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    for name, text in files.items():
        _write(folder / name, text)
    return tuple(folder / name for name in files if name.endswith(_TESTS))


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
        files[f"rules{mark}{_TESTS}"] = promtool_tests(
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
    return head + _dump({"groups": groups})


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
    return head + _dump(document)


def series_values(values: NDArray[np.float64], present: NDArray[np.bool_]) -> str:
    """A series in promtool's notation: runs, ``_`` where it was absent, ``stale`` where it ended.

    Both arrays have the shape (scrapes,).
    """
    tokens: list[str] = []
    edges = np.flatnonzero(np.diff(present)) + 1
    for part in np.split(np.arange(len(present)), edges):
        if not len(part):
            continue
        if present[part[0]]:
            tokens += _tokens(values[part])
            continue
        absent = len(part)
        if part[0] > 0:
            tokens.append("stale")
            absent -= 1
        if absent and part[-1] + 1 < len(present):
            tokens.append("_" if absent == 1 else f"_x{absent}")
    return " ".join(tokens)


def lapilli(
    subjects: Iterable[tuple[Subject, float]], *, labels: Mapping[str, str] = LAB_LABELS
) -> str:
    """Lapilli's incidents file: an entry for each incident; benign controls have none.

    Each subject comes with the epoch second of its zero. An incident begins where its definition
    says so and is over when service had recovered. ``labels`` are those of every entry.
    """
    entries = []
    seen: dict[str, int] = {}
    for subject, zero_epoch_s in subjects:
        if subject.benign:
            continue
        name = f"{subject.incident}-{subject.seed}"
        seen[name] = seen.get(name, 0) + 1
        over_s = max(subject.outage_end_s, subject.recovered_s or subject.outage_end_s)
        entries.append(
            {
                # An id stands once in the file.
                "id": name if seen[name] == 1 else f"{name}-{seen[name]}",
                "title": f"{subject.incident} ({subject.source}, seed {subject.seed})",
                "start": _rfc3339(zero_epoch_s + subject.onset_s),
                "end": _rfc3339(zero_epoch_s + over_s),
                "labels": dict(labels),
            }
        )
    return _dump({"incidents": entries})


# -- promtool: the tests -----------------------------------------------------------------------


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


def _tokens(values: NDArray[np.float64]) -> Iterator[str]:
    """Values without a gap: runs of equal steps, else one by one."""
    count = len(values)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(values)
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    # promtool adds step to step: exact for whole numbers, and for no step at all.
    whole = (values == np.floor(values)) & (np.abs(values) < EXACT)
    steps = np.where(same, 0.0, np.where(whole[1:] & whole[:-1], steps, np.nan))
    begin = 0
    while begin < count:
        end = begin + 1
        if begin < count - 1 and not np.isnan(steps[begin]):
            others = np.flatnonzero(steps[begin:] != steps[begin])
            end = begin + 1 + (int(others[0]) if len(others) else count - 1 - begin)
        if end - begin >= SHORTEST_RUN:
            step = int(steps[begin])
            sign = "-" if step < 0 else "+"
            yield f"{_number(values[begin])}{sign}{abs(step)}x{end - begin - 1}"
            begin = end
        else:
            yield _number(values[begin])
            begin += 1


def _number(value: float) -> str:
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < EXACT:
        return str(int(value))
    return repr(float(value))


# -- promtool: the rules -----------------------------------------------------------------------


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


# -- files -------------------------------------------------------------------------------------


def _dump(document: Any) -> str:
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


def _rfc3339(epoch_s: float) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=round(epoch_s * 1000))
    kind = "milliseconds" if at.microsecond else "seconds"
    return at.isoformat(timespec=kind).replace("+00:00", "Z")


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise unwritable(path, error) from error
