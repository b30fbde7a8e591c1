"""Rules over a single run, stored beside it as ``alerts.jsonl``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.alerts.engine import RuleEngine, check_rules, require_programs
from harness.alerts.expressions import LOOKBACK_S
from harness.alerts.lab import outcomes
from harness.alerts.rules import Rule, RuleSet, load_rules
from harness.alerts.score import Subject
from harness.alerts.subjects import Settings, load_recordings
from harness.alerts.timelines import RuleResult
from harness.recording import AlertFiring, AlertTimeline, write_alerts

PACKAGED = Path(__file__).resolve().parents[2] / "dashboards" / "prometheus" / "rules"
"""Our own rules, in a checkout and in the wheel alike."""


def evaluate_run(
    directory: Path, *, rules: Sequence[Path] = (PACKAGED,), settings: Settings | None = None
) -> tuple[AlertTimeline, ...]:
    """Our rules over one run at its incident's length, written to its ``alerts.jsonl``.

    Nothing is held: lab time is incident time, before which the baseline is taken to have lasted
    for as long as the rules look back. Raises as `score` does.
    """
    settings = settings or Settings(hold_s=0.0)
    require_programs()
    found = load_rules(rules)
    if tuple(rules) != (PACKAGED,):  # ours are checked by their tests
        check_rules(found)
    loaded = load_recordings(
        [directory], settings=settings, lead_in_s=found.window_s, wanted=found.wants
    )
    with RuleEngine(
        loaded.tables, gap_s=found.window_s + LOOKBACK_S, interval_s=settings.interval_s
    ) as engine:
        results = engine.evaluate(found, interval_s=settings.interval_s)
    timelines = tuple(
        timeline_of(found, rule, result, loaded.subjects[0], settings)
        for rule, (result,) in results.items()
    )
    write_alerts(directory, timelines)
    return timelines


def timeline_of(
    rules: RuleSet, rule: Rule, result: RuleResult, subject: Subject, settings: Settings
) -> AlertTimeline:
    """A rule's result as a line of ``alerts.jsonl``."""
    (outcome,) = outcomes(rules, rule, [result], [subject], settings)
    firings = [
        AlertFiring(dict(alert.labels), each.pending_s, each.fired_s, each.resolved_s)
        for alert in result.alerts
        for each in alert.firings
    ]
    return AlertTimeline(
        alert=rule.alert,
        severity=rule.labels.get("severity", ""),
        state=outcome.state,
        expr=rule.expr,
        for_s=rule.for_s,
        scrape_s=settings.scrape_s,
        interval_s=settings.interval_s,
        group_wait_s=settings.group_wait_s,
        runbook=rule.annotations.get("runbook_url", "").rpartition("/")[2],
        why=outcome.why,
        firings=tuple(sorted(firings, key=lambda each: each.fired_s)),
    )
