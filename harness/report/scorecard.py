"""The alert lab's findings: as tables for a terminal, as JSON, as Markdown. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.alerts.requirements import Met
from harness.alerts.score import Coverage, Outcome, RuleScore, Share
from harness.report import words

STATUS_STYLES = {"ok": "green", "dead": "red", "stuck": "red"}
MET_WORDS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}


def score_dict(
    scores: Sequence[RuleScore],
    coverage: Sequence[Coverage],
    requirements: Sequence[Met],
    settings: Mapping[str, float],
) -> dict[str, Any]:
    """As ``pooldrill alerts score --json`` prints it. Seconds; null where nothing was measured."""
    return {
        "schema": 1,
        "settings": dict(settings),
        "rules": [_rule_dict(score) for score in scores],
        "recordings": [
            {
                "incident": each.subject.incident,
                "seed": each.subject.seed,
                "source": each.subject.source,
                "benign": each.subject.benign,
                "first_alert": each.first,
                "caught": each.in_time,
                "lead_s": each.lead_s,
                "lead_to_pool_timeout_s": each.lead_to_pool_timeout_s,
                "from_start": each.from_start,
                "queue_bound_s": _rounded(each.subject.bound_s),
                "first_pool_timeout_s": each.subject.first_pool_timeout_s,
                "slo_breach_s": each.subject.slo_breach_s,
                "recovered_s": each.subject.recovered_s,
                "length_s": each.subject.length_s,
                "held_s": each.subject.held_s,
            }
            for each in coverage
        ],
        "requirements": [
            {"requirement": each.text, "met": each.met, "why": each.why} for each in requirements
        ],
    }


def _rule_dict(score: RuleScore) -> dict[str, Any]:
    return {
        "alert": score.rule.alert,
        "severity": score.rule.labels.get("severity", ""),
        "expr": score.rule.expr,
        "for_s": score.rule.for_s,
        "file": score.rule.file,
        "line": score.rule.line,
        "status": score.diagnosis.status,
        "why": score.diagnosis.why,
        "precision": _rounded(score.precision.value),
        "precision_interval": _interval(score.precision),
        "recall": _rounded(score.recall.value),
        "recall_interval": _interval(score.recall),
        "incidents": [
            {
                "incident": outcome.subject.incident,
                "seed": outcome.subject.seed,
                "source": outcome.subject.source,
                "benign": outcome.subject.benign,
                "state": outcome.state,
                "caught": outcome.in_time and not outcome.subject.benign,
                "why": outcome.why,
                "fired_s": outcome.fired_s,
                "notified_s": outcome.notified_s,
                "lead_s": outcome.lead_s,
                "lead_to_pool_timeout_s": outcome.lead_to_pool_timeout_s,
                "lead_to_slo_breach_s": outcome.lead_to_slo_breach_s,
                "reset_s": outcome.reset_s,
                "resolved_s": outcome.resolved_s,
                "from_start": outcome.from_start,
                "pages": outcome.pages,
            }
            for outcome in score.outcomes
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _interval(share: Share) -> list[float] | None:
    found = share.interval
    return None if found is None else [round(bound, 4) for bound in found]


RULE_HEADINGS = (
    "alert", "status", "caught", "false", "lead, median (range)", "reset", "precision", "recall",
)  # fmt: skip
NARROW = 5
"""Columns that a narrow terminal shows; shares with their intervals want a wide one."""

WIDE = 140
"""Columns of a terminal from which on all are shown."""

RECORDING_HEADINGS = (
    "recording", "first alert", "before harm", "before timeout", "queue bound",
)  # fmt: skip


def rule_cells(score: RuleScore) -> tuple[str, ...]:
    """A rule as text, in the order of `RULE_HEADINGS`."""
    incidents = [each for each in score.outcomes if not each.subject.benign]
    benign = [each for each in score.outcomes if each.subject.benign]
    unknown = sum(each.state == "unknown" for each in score.outcomes)
    fired = f"{sum(each.in_time for each in incidents)} of {len(incidents)}"
    return (
        score.rule.alert,
        score.diagnosis.status + (f", {unknown} unknown" if unknown else ""),
        fired,
        f"{sum(each.state == 'fired' for each in benign)} of {len(benign)}",
        lead_words(incidents),
        _median_words([each.reset_s for each in incidents]),
        share_words(score.precision),
        share_words(score.recall),
    )


def share_words(share: Share) -> str:
    """``0.83 (0.55–0.95)``: the share and its 95 % interval."""
    if share.value is None or share.interval is None:
        return "–"
    low, high = share.interval
    return f"{share.value:.2f} ({low:.2f}–{high:.2f})"


def lead_words(outcomes: Sequence[Outcome]) -> str:
    """The median lead and its range. What was there from the start has no lead but that."""
    leads = [each.lead_s for each in outcomes if each.lead_s is not None and not each.from_start]
    always = sum(each.from_start for each in outcomes)
    said = [f"{always} from the start"] if always else []
    if leads:
        low, high = min(leads), max(leads)
        spread = f" ({signed(low)} … {signed(high)})" if low != high else ""
        said.insert(0, f"{signed(median(leads))}{spread}")
    return "; ".join(said) or "–"


def signed(seconds: float) -> str:
    """``+8 min 17 s``, ``−34 s``: positive is before the harm."""
    return f"{'+' if seconds >= 0 else '−'}{words.duration(abs(seconds))}"


def _median_words(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return words.duration(median(known)) if known else "–"


def recording_cells(each: Coverage) -> tuple[str, ...]:
    """A recording as text, in the order of `RECORDING_HEADINGS`."""
    subject = each.subject
    if subject.benign:
        lead = "false page" if each.first else "stays silent"
    elif each.first is None:
        lead = "missed"
    elif each.from_start:
        lead = "from the start"
    else:
        lead = "–" if each.lead_s is None else signed(each.lead_s)
        lead += "" if each.in_time else " (after it was over)"
    to_timeout = (
        "from the start" if each.from_start and each.lead_to_pool_timeout_s is not None
        else "–" if each.lead_to_pool_timeout_s is None
        else signed(each.lead_to_pool_timeout_s)
    )  # fmt: skip
    bound = "–" if subject.bound_s is None else words.duration(subject.bound_s)
    return (f"{subject.incident} / {subject.seed}", each.first or "–", lead, to_timeout, bound)


def scorecard(
    scores: Sequence[RuleScore],
    coverage: Sequence[Coverage],
    requirements: Sequence[Met],
    *,
    width: int,
) -> RenderableType:
    """For a terminal of ``width`` columns."""
    shown = len(RULE_HEADINGS) if width >= WIDE else NARROW
    rules = _table(RULE_HEADINGS[:shown], folded=NARROW - 1)
    for score in scores:
        alert, status, *rest = rule_cells(score)[:shown]
        style = STATUS_STYLES[score.diagnosis.status]
        rules.add_row(Text(alert), Text(status, style), *(Text(cell) for cell in rest))
    parts: list[RenderableType] = [Text("Rules", style="bold"), rules]
    told = [score for score in scores if score.diagnosis.why]
    parts += [
        Text(f"{score.rule.alert} ({score.rule.place}): {score.diagnosis.why}",
             STATUS_STYLES[score.diagnosis.status] if score.diagnosis.status != "ok" else "dim")
        for score in told
    ]  # fmt: skip
    unknown = {
        (score.rule.alert, outcome.why)
        for score in scores
        for outcome in score.outcomes
        if outcome.state == "unknown"
    }
    parts += [Text(f"{alert}: unknown: {why}", "yellow") for alert, why in sorted(unknown)]
    recordings = _table(RECORDING_HEADINGS, folded=1)
    for each in coverage:
        recordings.add_row(*(Text(cell) for cell in recording_cells(each)))
    parts += [Text("\nRecordings, and what paged first", style="bold"), recordings]
    if requirements:
        parts.append(Text("\nRequirements", style="bold"))
        for requirement in requirements:
            mark, style = MET_WORDS[requirement.met]
            line = Text(f"{mark} {requirement.text}", style)
            parts.append(line.append(f"  {requirement.why}", "dim"))
    return Group(*parts)


def score_markdown(data: Mapping[str, Any]) -> str:
    """What `score_dict` holds, for a page: a row a rule, then a row an incident over its seeds."""
    rules = [_rule_row(rule) for rule in data["rules"]]
    parts = [
        f"{len(data['recordings'])} recordings, {_seeds(data['recordings'])} of each incident and "
        "benign control. Positive leads are before the first harm; the notification's delay of "
        f"{data['settings']['group_wait_s']:g} s is counted.",
        markdown_table(
            ("rule", "caught", "false pages", "lead, median (range)", "reset, median", "status"),
            rules,
        ),
        markdown_table(
            (
                "incident",
                "first alert",
                "lead before the first harm",
                "before the first pool timeout",
                "what a queue alone permits",
            ),
            [_incident_row(name, each) for name, each in _by_incident(data["recordings"])],
        ),
    ]
    return "\n\n".join(parts)


def _seeds(recordings: Sequence[Mapping[str, Any]]) -> str:
    counts = {len(each) for _, each in _by_incident(recordings)}
    low, high = min(counts), max(counts)
    return f"{low} seed{'s' if low > 1 else ''}" if low == high else f"{low} to {high} seeds"


def _by_incident(
    recordings: Sequence[Mapping[str, Any]],
) -> list[tuple[str, list[Mapping[str, Any]]]]:
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for each in sorted(recordings, key=lambda each: (each["benign"], each["incident"])):
        grouped.setdefault(each["incident"], []).append(each)
    return list(grouped.items())


def _rule_row(rule: Mapping[str, Any]) -> tuple[str, ...]:
    incidents = [each for each in rule["incidents"] if not each["benign"]]
    benign = [each for each in rule["incidents"] if each["benign"]]
    caught = sum(each["caught"] for each in incidents)
    leads = [each["lead_s"] for each in incidents if not each["from_start"]]
    resets = [each["reset_s"] for each in incidents if each["reset_s"] is not None]
    always = sum(each["from_start"] for each in incidents)
    lead = _span([each for each in leads if each is not None])
    lead += f"{'; ' if lead else ''}{always} from the start" if always else ""
    return (
        rule["alert"],
        f"{caught} of {len(incidents)}",
        f"{sum(each['state'] == 'fired' for each in benign)} of {len(benign)}",
        lead or "–",
        words.duration(median(resets)) if resets else "–",
        rule["status"] + (f": {rule['why']}" if rule["status"] != "ok" else ""),
    )


def _incident_row(name: str, seeds: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    first = ", ".join(sorted({each["first_alert"] or "none" for each in seeds}))
    bounds = [each["queue_bound_s"] for each in seeds if each["queue_bound_s"] is not None]
    bound = words.duration(median(bounds)) if bounds else "–"
    if all(each["benign"] for each in seeds):
        return name, first, "must stay silent", "–", "–"
    timeouts = [each for each in seeds if each["first_pool_timeout_s"] is not None]
    return (
        name,
        first,
        _leads(seeds, "lead_s"),
        _leads(seeds, "lead_to_pool_timeout_s") if timeouts else "there is none",
        bound,
    )


def _leads(seeds: Sequence[Mapping[str, Any]], key: str) -> str:
    if all(each["from_start"] for each in seeds):
        return "from the start"
    return _span([each[key] for each in seeds if each[key] is not None]) or "missed"


def _span(leads: Sequence[float]) -> str:
    if not leads:
        return ""
    low, high = min(leads), max(leads)
    spread = f" ({signed(low)} … {signed(high)})" if high - low >= 0.5 else ""
    return f"{signed(median(leads))}{spread}"


def place_in_page(page: str, name: str, text: str, *, what: str = "scores") -> str | None:
    """``page`` with ``text`` between its marks of that name; None where it has no such marks."""
    begin, end = f"<!-- {what}: {name} -->", f"<!-- end of {what}: {name} -->"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    return f"{head}{begin}\n\n{text}\n\n{end}{tail}" if found and closed else None


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain cells."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in r) + " |" for r in lines
    )


def _table(headings: Sequence[str], *, folded: int) -> Table:
    """Columns as wide as they are; that one is folded where there is no room."""
    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=number != folded)
    return table
