"""postmortem.md: the incident's document, filled in with what was measured.

Everything known is written; what only a human can know stands as ``[TO WRITE: …]``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.recording import BUCKETS, Recording
from harness.report import words
from harness.report.alert_story import alert_story
from harness.report.comparison import comparisons
from harness.report.setup import reproduce_commands
from harness.report.story import (
    SOURCES,
    Story,
    clock_rows,
    key_figures,
    lead,
    measured_words,
    outcome_sentence,
    tell,
)
from harness.report.timeline import EventRow, event_rows
from harness.verdicts import Verdict

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def render_postmortem(recording: Recording, verdict: Verdict) -> str:
    """Markdown in the shape of the documents it is compared with."""
    story = tell(recording, verdict)
    sections = (
        _summary(story),
        _timeline(story),
        _cause(story),
        _alerts(story),
        _measures(story),
        _measured(story),
        "## Conclusion\n\n" + to_write("what was learned, in two or three sentences"),
    )
    title = f"# Postmortem: {text(story.incident.title)}"
    return "\n\n".join((title, *sections)) + "\n"


def to_write(what: str) -> str:
    """The mark of a place that only a human can fill."""
    return f"**[TO WRITE: {what}]**"


def text(value: str) -> str:
    """``value`` as one line of Markdown that means only itself."""
    return _SPECIAL.sub(r"\\\1", " ".join(value.split()))


def _summary(story: Story) -> str:
    incident, clocks = story.incident, story.verdict.clocks_s
    if clocks.slo_breach is None:
        lasted = "the SLO was not broken in this run"
    elif clocks.recovered is None:
        lasted = f"from {_date_clock(story, clocks.slo_breach)}; it had not recovered at the end"
    else:
        lasted = (
            f"{_date_clock(story, clocks.slo_breach)} - {_date_clock(story, clocks.recovered)} "
            f"({words.zone(incident)}), {words.duration(clocks.recovered - clocks.slo_breach)}"
        )
    lines = [
        "## Issue summary",
        f"**Duration:** {lasted}",
        f"**Impact:** {text(outcome_sentence(story))} "
        + to_write("what users noticed, and what it cost"),
        f"**Root cause:** {text(_root_cause(story))}",
    ]
    if story.verdict.outcome != "pass":
        lines.insert(1, f"> **{text(lead(story))}** Do not publish these numbers as they stand.")
    return "\n\n".join(lines)


def _root_cause(story: Story) -> str:
    """In the document's words, else in the definition's."""
    said, truth = story.incident.postmortem, story.incident.truth
    if said is not None:
        return said.root_cause
    return truth.capacity_defect.says if truth else "none: this is a healthy run"


def _date_clock(story: Story, at_s: float) -> str:
    date = story.incident.clock.starts_at.strftime("%Y-%m-%d")
    return f"{date} {words.clock(story.incident, at_s)}"


def _timeline(story: Story) -> str:
    """Events and measured clocks in one list, by incident time."""
    rows = [(row.at_s, row.clock, text(_event_words(row))) for row in event_rows(story)]
    for row in clock_rows(story):
        if row.at_s is not None and row.key not in ("surge_start", "detected"):
            since = f", {row.since_surge}" if row.since_surge else ""
            rows.append((row.at_s, row.clock, f"*Measured:* {row.label}{since}."))
    listed = [f"- **{clock}:** {said}" for _, clock, said in sorted(rows, key=lambda row: row[0])]
    head = f"## Timeline ({words.zone(story.incident)})"
    return "\n".join([head, "", *listed, f"- {to_write('decisions that no instrument saw')}"])


def _event_words(row: EventRow) -> str:
    if row.kind == "note":
        return row.says
    return f"{row.says} ({row.short})" if row.says else row.short


def _cause(story: Story) -> str:
    truth, said = story.incident.truth, story.incident.postmortem
    lines = ["## Root cause and resolution"]
    if truth is None:
        return "\n\n".join([*lines, "Nothing was wrong: this is a benign control."])
    loop = truth.sustaining_loop
    lines += [
        f"**Trigger:** {text(truth.trigger.says)}",
        f"**Capacity defect:** {text(truth.capacity_defect.says)}",
        f"**Sustaining loop:** {text(loop.says if loop else 'none')}",
    ]
    if said is not None:
        lines.append(f"**Resolution:** {text(said.resolution)}")
    if truth.traps:
        traps = "\n".join(f"- {text(trap)}" for trap in truth.traps)
        lines.append(f"**What misled:**\n\n{traps}")
    lines.append(to_write("why the defect was not found before the surge"))
    return "\n\n".join(lines)


def _alerts(story: Story) -> str:
    told = alert_story(story)
    lines = ["## What the alerts would have done"]
    if not told.evaluated:
        return "\n\n".join([*lines, text(told.why)])
    lines += [text(sentence) for sentence in told.sentences]
    if told.rows:
        head = ("Alert", "Severity", "Fired", "From the first harm", "Resolved", "Times")
        rows = [
            (r.alert, r.severity, r.fired or r.state, r.lead, r.resolved, r.count)
            for r in told.rows
        ]
        lines.append(_table(head, rows))
    lines.append(f"{told.silent} further rules stayed silent. {text(told.assumptions)}")
    return "\n\n".join(lines)


def _measures(story: Story) -> str:
    said, truth = story.incident.postmortem, story.incident.truth
    measures = [*(said.measures if said else ()), *(truth.accepted_fixes if truth else ())]
    boxes = [f"- [ ] {text(measure)} {to_write('owner, date')}" for measure in measures]
    again = f"`pooldrill run {story.incident.name}`"
    boxes.append(f"- [ ] Run {again} against the corrected configuration and see it not reproduce")
    return "\n".join(["## Corrective and preventative measures", "", *boxes])


def _measured(story: Story) -> str:
    info, verdict = story.recording.info, story.verdict
    rows = [(key.label, key.value, key.note) for key in key_figures(story)]
    arrivals = ", ".join(
        f"{name} {getattr(verdict.arrivals, name)}" for name in ("scheduled", *BUCKETS)
    )
    parts = [
        "## What was measured",
        f"{text(lead(story))} Source: {SOURCES[info.source]}. Seed {info.seed}.",
        _table(("Figure", "Value", "Note"), rows),
        f"Arrivals as replayed: {text(arrivals)}.",
    ]
    if compared := comparisons(story):
        parts.append(
            _table(
                ("What", "The document says", "We measured"),
                [(row.what, row.document, row.measured) for row in compared],
            )
        )
    checks = [(c.id, c.outcome, c.expected, measured_words(c), c.why) for c in verdict.checks]
    parts.append(_table(("Check", "Outcome", "Expected", "Measured", "Why"), checks))
    commands = "\n".join(f"    {command}" for command, _ in reproduce_commands(story))
    parts.append(f"To see it again:\n\n{commands}")
    return "\n\n".join(parts)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(text(cell) for cell in r) for r in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
