"""A sweep, put together: Prometheus evaluates each threshold, waits are the state machine's."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from harness.alerts.engine import WORKERS, RuleEngine
from harness.alerts.expressions import Comparison, comparison, parse
from harness.alerts.lab import Asking, opened
from harness.alerts.rules import Rule, RuleSet, load_rules
from harness.alerts.score import Subject
from harness.alerts.subjects import Settings
from harness.alerts.sweep import Grid, first_firings, judge_grid
from harness.errors import EvaluationError, Problem, RulesError


@dataclass(frozen=True)
class Sweep:
    """What a sweep is asked for: one alert, its thresholds and waits (seconds)."""

    asking: Asking
    alert: str
    thresholds: Sequence[float]
    waits_s: Sequence[float]


def sweep(asked: Sweep) -> tuple[Rule, Grid]:
    """The whole grid of one alert.

    Prometheus evaluates the expression once for each threshold and recording; the waits are the
    state machine's. Raises `RulesError` when the alert compares with no number, `EvaluationError`
    when its expression, written anew with its own threshold, would not be the same.
    """
    rule = load_rules(asked.asking.rules).named(asked.alert)
    found = comparison(parse(rule.expr))
    if found is None:
        message = f"{rule.alert} compares with no number, so there is no threshold to sweep"
        raise RulesError(
            [Problem(message, rule.file, rule.line)],
            remedy="Sweep a rule of the form EXPRESSION > NUMBER.",
        )
    with opened(replace(asked.asking, alerts=(asked.alert,))) as (rules, loaded, engine):
        _ready_recorded(rules, engine, asked.asking.settings)
        grid = sweep_grid(asked, rules.named(asked.alert), found, engine, loaded.subjects)
    return rule, grid


def _ready_recorded(rules: RuleSet, engine: RuleEngine, settings: Settings) -> None:
    """What recording rules yield must be there before their readers are asked."""
    if any(rule.record for rule in rules):
        engine.evaluate(rules, interval_s=settings.interval_s)


def sweep_grid(
    asked: Sweep,
    rule: Rule,
    found: Comparison,
    engine: RuleEngine,
    subjects: Sequence[Subject],
) -> Grid:
    """The grid, from an engine that holds the recordings already."""
    step_s = asked.asking.settings.interval_s
    numbers = range(len(subjects))
    _same(rule, found, engine, step_s, len(subjects))

    def fired(task: tuple[float, int]) -> list[float | None]:
        threshold, number = task
        expression = f"({found.left}) {found.operator} {threshold:.17g}"
        answer = engine.ask(expression, number, step_s=step_s)
        return first_firings(answer, asked.waits_s, rule.keep_firing_for_s)

    tasks = [(threshold, number) for threshold in asked.thresholds for number in numbers]
    with ThreadPoolExecutor(WORKERS) as pool:
        done = list(pool.map(fired, tasks))
    rows = [
        done[row * len(subjects) : (row + 1) * len(subjects)]
        for row in range(len(asked.thresholds))
    ]
    cells = judge_grid(
        asked.thresholds,
        asked.waits_s,
        rows,
        subjects,
        group_wait_s=asked.asking.settings.group_wait_s,
    )
    return Grid(rule.alert, found.operator, found.left, cells)


def _same(rule: Rule, found: Comparison, engine: RuleEngine, step_s: float, count: int) -> None:
    """Refuse to sweep what was not understood: the rewritten expression must yield the same."""
    rewritten = f"({found.left}) {found.operator} {found.threshold:.17g}"
    for number in range(count):
        own = engine.ask(rule.expr, number, step_s=step_s)
        new = engine.ask(rewritten, number, step_s=step_s)
        if set(own.labels) != set(new.labels) or own.there.sum() != new.there.sum():
            raise EvaluationError(
                f"{rule.place}: {rule.alert} cannot be swept: {rewritten} is not the same as it"
            )
