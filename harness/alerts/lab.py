"""The alert lab, put together: recordings at length, rules evaluated over them, scores.

1. Rules are read and checked, by us and by promtool; mappings are read.
2. Recordings are read, judged only as far as their clocks go, and expanded to lab time.
3. A Prometheus is filled with all of them and evaluates every rule over each.
4. What it found becomes outcomes, scores, diagnoses, requirements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.alerts.diagnosis import diagnose
from harness.alerts.engine import RuleEngine, agree, check_rules, require_programs
from harness.alerts.exporting import export_openmetrics, export_promtool, lapilli
from harness.alerts.expressions import LOOKBACK_S
from harness.alerts.extents import Extents
from harness.alerts.naming import Names, load_mapping
from harness.alerts.packed import unpacked
from harness.alerts.promtool import Pinned
from harness.alerts.requirements import Met, Requirement, check
from harness.alerts.rules import Rule, RuleSet, load_rules
from harness.alerts.score import Coverage, Outcome, RuleScore, Subject, coverage, outcome_of
from harness.alerts.subjects import DEFAULTS, Loaded, Settings, find_recordings, load_recordings
from harness.alerts.timelines import RuleResult
from harness.writing import unwritable, write_text


@dataclass(frozen=True)
class Scored:
    """What the lab found."""

    rules: RuleSet
    settings: Settings
    subjects: tuple[Subject, ...]
    scores: tuple[RuleScore, ...]
    requirements: tuple[Met, ...] = ()
    left_out: tuple[Path, ...] = ()

    @property
    def coverage(self) -> tuple[Coverage, ...]:
        return coverage(self.scores)

    @property
    def nothing_known(self) -> bool:
        """Whether some rule could be judged on no recording at all."""
        return any(
            all(outcome.state == "unknown" for outcome in score.outcomes) for score in self.scores
        )


@dataclass(frozen=True)
class Asking:
    """What the lab is asked to score; without ``recordings``, on the library's own."""

    rules: Sequence[Path]
    recordings: Sequence[Path] = ()
    settings: Settings = DEFAULTS
    mappings: Sequence[Path] = ()
    alerts: Sequence[str] = ()
    requirements: Sequence[Requirement] = ()


def read_inputs(asking: Asking) -> tuple[RuleSet, Names]:
    """Step 1; every problem of the input before anything is evaluated."""
    require_programs()
    rules = load_rules(asking.rules)
    check_rules(rules)
    if asking.alerts:
        rules = rules.only(asking.alerts)
    return rules, Names(tuple(load_mapping(path) for path in asking.mappings))


@contextmanager
def opened(asking: Asking) -> Iterator[tuple[RuleSet, Loaded, RuleEngine]]:
    """Steps 1 and 2, and a Prometheus that holds the recordings; it is gone afterwards."""
    rules, names = read_inputs(asking)
    with ExitStack() as stack:
        places = asking.recordings or (stack.enter_context(unpacked()),)
        directories, left_out = find_recordings(places)
        loaded = load_recordings(
            directories,
            settings=asking.settings,
            lead_in_s=max(rules.window_s, asking.settings.hold_s),
            wanted=lambda metric: names.needs(metric, rules.wants),
            names=names,
        )
    loaded = replace(loaded, left_out=tuple(left_out))
    with RuleEngine(
        loaded.tables,
        gap_s=rules.window_s + LOOKBACK_S,
        interval_s=asking.settings.interval_s,
    ) as engine:
        yield rules, loaded, engine


def score(asking: Asking) -> Scored:
    """Every alerting rule on every recording.

    Raises `RulesError`, `RecordingError`, `EvaluationError` (exit 3: nothing can be said).
    """
    with opened(asking) as (rules, loaded, engine):
        results = engine.evaluate(rules, interval_s=asking.settings.interval_s)
        ask = Extents(engine, len(loaded.subjects), asking.settings.interval_s)
        incidents = any(not subject.benign for subject in loaded.subjects)
        scores = tuple(
            RuleScore(
                rule=rule,
                diagnosis=diagnose(rule, found, ask=ask, incidents=incidents),
                outcomes=outcomes(rules, rule, found, loaded.subjects, asking.settings),
            )
            for rule, found in results.items()
        )
    return Scored(
        rules=rules,
        settings=asking.settings,
        subjects=loaded.subjects,
        scores=scores,
        requirements=tuple(check(each, scores) for each in asking.requirements),
        left_out=loaded.left_out,
    )


def outcomes(
    rules: RuleSet,
    rule: Rule,
    results: Sequence[RuleResult],
    subjects: Sequence[Subject],
    settings: Settings,
) -> tuple[Outcome, ...]:
    """A rule's outcome on each recording."""
    recorded = {each.record: each.window_s for each in rules if each.record}
    via = max((recorded.get(s.metric or "", 0.0) for s in rule.selectors), default=0.0)
    return tuple(
        outcome_of(rule, rule.window_s + via, result, subject, group_wait_s=settings.group_wait_s)
        for result, subject in zip(results, subjects, strict=True)
    )


def export(asking: Asking, form: str, folder: Path) -> tuple[Path, ...]:
    """Write recordings as ``openmetrics``, ``promtool`` tests or ``lapilli`` incidents.

    The promtool tests are run once by promtool before they are said to be written. Raises
    `EvaluationError` when promtool disagrees with what was found.
    """
    with opened(asking) as (rules, loaded, engine):
        zeros = engine.zeros
        if form == "promtool":
            results = engine.evaluate(rules, interval_s=asking.settings.interval_s)
            pinned = [
                Pinned(
                    f"{subject.incident}-{subject.seed}",
                    table,
                    {rule: found[number] for rule, found in results.items()},
                )
                for number, (subject, table) in enumerate(
                    zip(loaded.subjects, loaded.tables, strict=True)
                )
            ]
            tests = export_promtool(rules, pinned, folder, interval_s=asking.settings.interval_s)
            agree(tests)
            return tests
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    if form == "openmetrics":
        written = []
        for subject, expanded, zero in zip(loaded.subjects, loaded.expanded, zeros, strict=True):
            path = folder / f"{subject.incident}-{subject.seed}.openmetrics"
            export_openmetrics(expanded, path, zero)
            written.append(path)
        return tuple(written)
    path = folder / "incidents.yaml"
    text = lapilli(list(zip(loaded.subjects, zeros, strict=True)))
    try:
        write_text(path, text)
    except OSError as error:
        raise unwritable(folder, error) from error
    return (path,)
