"""What scores must reach, as ``--require`` states it. Pure.

lead(PoolPending) >= 60s          on every incident on which it fired before any harm could
recall >= 1                       each rule;  recall(all) >= 1: any rule of the set
precision(PoolPending) >= 0.9
silent on benign                  every rule, on every benign control
fires on undersized-pool          any rule, on every seed of that incident
reset(PoolPending) <= 10m
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.alerts.rules import duration, seconds
from harness.alerts.score import Outcome, RuleScore, coverage
from harness.errors import UsageError

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt,
}  # fmt: skip
_MEASURED = re.compile(
    r"(lead|reset|recall|precision)\s*(?:\(\s*([\w:-]+)\s*(?:,\s*([\w-]+)\s*)?\))?"
    r"\s*(>=|<=|>|<)\s*(\S+)"
)
_SILENT = re.compile(r"(?:([\w:-]+)\s+)?silent\s+on\s+([\w-]+)")
_FIRES = re.compile(r"(?:([\w:-]+)\s+)?fires\s+on\s+([\w-]+)")
ALL = "all"
BENIGN = "benign"
INCIDENTS = "incidents"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One line of ``--require``."""

    text: str
    kind: Literal["measured", "silent", "fires"]
    alert: str | None
    on: str | None
    figure: str = ""
    compare: str = ""
    bound: float = 0.0


@dataclass(frozen=True, slots=True)
class Met:
    """Whether a requirement is met: None where nothing could be said."""

    text: str
    met: bool | None
    why: str


def read_requirement(text: str) -> Requirement:
    """A requirement as a value; UsageError showing the forms there are."""
    said = " ".join(text.split())
    if found := _MEASURED.fullmatch(said):
        figure, alert, on, compare, bound = found.groups()
        try:
            limit = seconds(bound) if figure in ("lead", "reset") else _share(bound)
        except ValueError as error:
            raise UsageError(f"--require {text!r}: {error}", remedy=_FORMS) from None
        if figure in ("lead", "reset") and alert is None:
            raise UsageError(f"--require {text!r}: of which alert?", remedy=_FORMS)
        return Requirement(said, "measured", alert, on, figure, compare, limit)
    if found := _SILENT.fullmatch(said):
        return Requirement(said, "silent", found.group(1), found.group(2))
    if found := _FIRES.fullmatch(said):
        return Requirement(said, "fires", found.group(1), found.group(2))
    raise UsageError(f"--require {text!r} is not understood", remedy=_FORMS)


_FORMS = (
    "Write 'lead(ALERT) >= 60s', 'lead(ALERT, INCIDENT) >= 60s', 'recall(all) >= 1', "
    "'precision(ALERT) >= 0.9', 'reset(ALERT) <= 10m', 'silent on benign' or "
    "'fires on INCIDENT'."
)


def check(requirement: Requirement, scores: Sequence[RuleScore]) -> Met:
    """Whether ``scores`` meet it. Raises UsageError for an alert that is not among them."""
    chosen = _chosen(requirement, scores)
    if requirement.kind == "silent":
        return _silent(requirement, chosen)
    if requirement.kind == "fires":
        return _fires(requirement, chosen)
    if requirement.figure in ("lead", "reset"):
        return _seconds(requirement, chosen)
    return _shares(requirement, chosen)


def _chosen(requirement: Requirement, scores: Sequence[RuleScore]) -> list[RuleScore]:
    if requirement.alert in (None, ALL):
        return list(scores)
    chosen = [score for score in scores if score.rule.alert == requirement.alert]
    if not chosen:
        names = ", ".join(sorted({score.rule.alert for score in scores}))
        raise UsageError(
            f"--require {requirement.text!r}: there is no alert {requirement.alert!r}",
            remedy=f"The alerts are: {names}.",
        )
    return chosen


def _on(outcomes: Iterable[Outcome], on: str | None) -> list[Outcome]:
    def fits(outcome: Outcome) -> bool:
        if on is None:
            return True
        if on == BENIGN:
            return outcome.subject.benign
        if on == INCIDENTS:
            return not outcome.subject.benign
        return outcome.subject.incident == on

    return [outcome for outcome in outcomes if fits(outcome)]


def _silent(requirement: Requirement, scores: Sequence[RuleScore]) -> Met:
    looked_at = [
        (score, outcome) for score in scores for outcome in _on(score.outcomes, requirement.on)
    ]
    fired = [(s.rule.alert, o.subject) for s, o in looked_at if o.state == "fired"]
    if fired:
        named = ", ".join(
            f"{alert} on {subject.incident}/{subject.seed}" for alert, subject in fired
        )
        return Met(requirement.text, False, f"fired: {named}")
    unknown = [(s.rule.alert, o) for s, o in looked_at if o.state == "unknown"]
    if unknown or not looked_at:
        why = unknown[0][0] + ": " + unknown[0][1].why if unknown else "no such recording"
        return Met(requirement.text, None, why)
    recordings = len({(o.subject.incident, o.subject.seed) for _, o in looked_at})
    return Met(requirement.text, True, f"{len(scores)} rules on {recordings} recordings")


def _fires(requirement: Requirement, scores: Sequence[RuleScore]) -> Met:
    covered: dict[tuple[str, int], bool] = {}
    for score in scores:
        for outcome in _on(score.outcomes, requirement.on):
            key = (outcome.subject.incident, outcome.subject.seed)
            covered[key] = covered.get(key, False) or outcome.in_time
    if not covered:
        return Met(requirement.text, None, "no such recording")
    missed = [f"{name}/{seed}" for (name, seed), hit in covered.items() if not hit]
    why = "missed: " + ", ".join(missed) if missed else f"{len(covered)} recordings"
    return Met(requirement.text, not missed, why)


def _seconds(requirement: Requirement, scores: Sequence[RuleScore]) -> Met:
    fits = _COMPARE[requirement.compare]
    measured = [
        (value, outcome.subject)
        for score in scores
        for outcome in _on(score.outcomes, requirement.on)
        if (value := outcome.lead_s if requirement.figure == "lead" else outcome.reset_s)
        is not None
    ]
    if not measured:
        return Met(requirement.text, None, "it fired on no incident, so there is nothing measured")
    worst, subject = (min if ">" in requirement.compare else max)(measured, key=lambda m: m[0])
    missed = [value for value, _ in measured if not fits(value, requirement.bound)]
    return Met(
        requirement.text,
        not missed,
        f"{len(missed)} of {len(measured)} recordings miss it; the worst is "
        f"{worst:g} s on {subject.incident}/{subject.seed}, {duration(requirement.bound)} asked",
    )


def _shares(requirement: Requirement, scores: Sequence[RuleScore]) -> Met:
    fits = _COMPARE[requirement.compare]
    if requirement.alert == ALL and requirement.figure == "recall":
        found = [c for c in coverage(scores) if not c.subject.benign]
        if not found:
            return Met(requirement.text, None, "no incident among the recordings")
        value = sum(c.in_time for c in found) / len(found)
        missed = [f"{c.subject.incident}/{c.subject.seed}" for c in found if not c.in_time]
        why = f"{value:.3f}" + (f"; missed: {', '.join(missed)}" if missed else "")
        return Met(requirement.text, fits(value, requirement.bound), why)
    values = [(getattr(score, requirement.figure).value, score.rule.alert) for score in scores]
    unknown = [alert for value, alert in values if value is None]
    low = [(value, alert) for value, alert in values if value is not None]
    failed = [f"{alert} {v:.3f}" for v, alert in low if not fits(v, requirement.bound)]
    if failed:
        return Met(requirement.text, False, ", ".join(failed))
    if unknown or not low:
        return Met(requirement.text, None, "not measured: " + ", ".join(unknown))
    return Met(requirement.text, True, f"{len(low)} rules, the least {min(low)[0]:.3f}")


def _share(text: str) -> float:
    value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value <= 1:
        raise ValueError(f"{text} is no share between 0 and 1")
    return value
