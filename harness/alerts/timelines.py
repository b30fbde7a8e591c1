"""From an expression's result to alerts over time. Pure: Prometheus has answered already."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.alerts.rules import Rule
from harness.alerts.series import NAME, Grid, Labels, SeriesTable, labels_of
from harness.alerts.states import FIRING, PENDING, Firing, firings, states
from harness.errors import EvaluationError

_LABEL_REFERENCE = re.compile(r"\{\{\s*\$labels\.([a-zA-Z_][a-zA-Z0-9_]*)\s*\}\}")


@dataclass(frozen=True, slots=True)
class AlertSeries:
    """One alert of a rule: its labels, and when it fired."""

    labels: Labels
    firings: tuple[Firing, ...]


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What a rule did on one table, over ``instants_s`` (its evaluations).

    ``true`` says at how many evaluations its expression held for anything; ``longest_true_s`` for
    how long on end for one alert. ``failed`` is why Prometheus would not evaluate it.
    """

    alerts: tuple[AlertSeries, ...]
    instants: int
    true: int
    longest_true_s: float
    failed: str = ""

    @property
    def firings(self) -> tuple[Firing, ...]:
        return tuple(firing for alert in self.alerts for firing in alert.firings)


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of an expression: row ``i`` of ``values`` belongs to ``labels[i]``.

    Both arrays have the shape (series, evaluations); ``there`` is false where it has no result.
    """

    labels: tuple[Labels, ...]
    values: NDArray[np.float64]
    there: NDArray[np.bool_]
    instants_s: NDArray[np.float64]


def named_alerts(rule: Rule, answer: Answer) -> Answer:
    """An expression's result as the alerts Prometheus would make of it.

    Raises `EvaluationError` where Prometheus would fail: two alerts with the same labels; and
    where a label is a template that is more than ``{{ $labels.name }}``.
    """
    named: list[Labels] = []
    for labels in answer.labels:
        own = {key: value for key, value in labels if key != NAME}
        for key, text in rule.labels.items():
            value = _filled(text, own)
            if "{{" in value:
                raise EvaluationError(
                    f"the label {key!r} is the template {text!r}; only {{{{ $labels.NAME }}}} is "
                    "evaluated here"
                )
            own[key] = value
        own["alertname"] = rule.alert
        # An empty label is no label.
        named.append(labels_of({key: value for key, value in own.items() if value}))
    for index, labels in enumerate(named):
        for other in range(index):
            if labels == named[other] and np.any(answer.there[index] & answer.there[other]):
                raise EvaluationError(
                    "the expression yields several alerts with the same labels: "
                    + ", ".join(f'{key}="{value}"' for key, value in labels)
                )
    return Answer(tuple(named), answer.values, answer.there, answer.instants_s)


def _filled(text: str, labels: Mapping[str, str]) -> str:
    return _LABEL_REFERENCE.sub(lambda found: labels.get(found.group(1), ""), text)


def run_alert(rule: Rule, named: Answer) -> RuleResult:
    """The alerts' states over time."""
    merged: dict[Labels, NDArray[np.bool_]] = {}
    for labels, there in zip(named.labels, named.there, strict=True):
        merged[labels] = merged[labels] | there if labels in merged else there
    alerts = []
    longest_s = 0.0
    for labels, there in merged.items():
        row = states(
            there,
            named.instants_s,
            for_s=rule.for_s,
            keep_firing_for_s=rule.keep_firing_for_s,
        )
        alerts.append(AlertSeries(labels, tuple(firings(row, named.instants_s))))
        longest_s = max(longest_s, _longest_s(there, named.instants_s))
    any_there = named.there.any(axis=0) if len(named.there) else np.zeros(0, bool)
    return RuleResult(tuple(alerts), len(named.instants_s), int(any_there.sum()), longest_s)


def _longest_s(there: NDArray[np.bool_], instants_s: NDArray[np.float64]) -> float:
    edges = np.diff(there.astype(np.int8), prepend=0, append=0)
    begins, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    if not len(begins):
        return 0.0
    return float(np.max(instants_s[ends - 1] - instants_s[begins]))


def _on_grid(labels: Sequence[Labels], answer: Answer, keep: NDArray[np.bool_]) -> SeriesTable:
    instants = answer.instants_s
    step_s = float(instants[1] - instants[0]) if len(instants) > 1 else 1.0
    grid = Grid(float(instants[0]), step_s, len(instants))
    return SeriesTable(grid, tuple(labels), answer.values, keep)


def recorded(rule: Rule, answer: Answer) -> SeriesTable:
    labels = [
        labels_of({**dict(found), **rule.labels, NAME: rule.record}) for found in answer.labels
    ]
    return _on_grid(labels, answer, answer.there)


def alerts_series(rule: Rule, named: Answer) -> SeriesTable:
    """The ``ALERTS`` series of a rule, for rules that read them."""
    labels: list[Labels] = []
    rows = []
    for found, there in zip(named.labels, named.there, strict=True):
        row = states(
            there, named.instants_s, for_s=rule.for_s, keep_firing_for_s=rule.keep_firing_for_s
        )
        for state, name in ((PENDING, "pending"), (FIRING, "firing")):
            labels.append(labels_of({**dict(found), NAME: "ALERTS", "alertstate": name}))
            rows.append(row == state)
    shape = (len(rows), len(named.instants_s))
    keep = np.array(rows, dtype=bool).reshape(shape)
    return _on_grid(labels, Answer(tuple(labels), np.ones(shape), keep, named.instants_s), keep)


def held(table: SeriesTable, step_s: float) -> SeriesTable:
    """A table of a slower grid with each value repeated each ``step_s`` until the next one.

    Prometheus goes on with the last value of a recording rule until its next evaluation.
    """
    times = round(table.grid.step_s / step_s)
    if times <= 1:
        return table
    grid = Grid(table.grid.start_s, table.grid.step_s / times, table.grid.count * times)
    return SeriesTable(
        grid,
        table.labels,
        np.repeat(table.values, times, axis=1),
        np.repeat(table.present, times, axis=1),
    )
