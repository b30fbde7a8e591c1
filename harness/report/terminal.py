"""The verdict on a terminal: what happened, when, how much, and whether it may be believed."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.recording import BUCKETS, Recording
from harness.report import words
from harness.report.alert_story import AlertStory, alert_story
from harness.report.story import (
    OUTCOME_WORDS,
    SOURCES,
    ClockRow,
    KeyFigure,
    Story,
    clock_rows,
    key_figures,
    lead,
    measured_words,
    outcome_sentence,
    tell,
)
from harness.verdicts import Outcome, Verdict

STYLES: dict[Outcome, str] = {"pass": "bold green", "fail": "bold red", "invalid": "bold yellow"}
MOST_ALERTS = 5
"""Alerts that are shown; the report has them all."""

MARKS: dict[Outcome, str] = {"pass": "✓", "fail": "✗", "invalid": "?"}


def summary(recording: Recording, verdict: Verdict) -> RenderableType:
    """A renderable for 80 columns and more. Strings of the recording are never read as markup."""
    story = tell(recording, verdict)
    parts: list[RenderableType] = [_head(story), Text(outcome_sentence(story))]
    parts.append(Text(lead(story), style=STYLES[verdict.outcome]))
    parts.append(_section("Figures", _figures(key_figures(story))))
    parts.append(_section(f"Clocks ({words.zone(story.incident)})", _clocks(clock_rows(story))))
    parts.append(_section("Arrivals", _arrivals(verdict)))
    told = alert_story(story)
    parts.append(_section("Alerts", _alerts(told)))
    parts.append(_section("Checks", _checks(verdict)))
    return Group(*parts)


def _head(story: Story) -> Text:
    outcome, info = story.verdict.outcome, story.recording.info
    head = Text()
    head.append(
        f" {MARKS[outcome]} {OUTCOME_WORDS[outcome].upper()} ", STYLES[outcome] + " reverse"
    )
    head.append(f"  {story.incident.name}", "bold")
    head.append(f"  seed {info.seed}  {SOURCES[info.source].partition(':')[0]}", "dim")
    return head


def _section(title: str, content: RenderableType) -> RenderableType:
    return Group(Text(f"\n{title}", style="bold"), Padding(content, (0, 0, 0, 2)))


def _figures(figures: tuple[KeyFigure, ...]) -> Table:
    table = _grid()
    for key in figures:
        style = "dim italic" if key.value == words.NOT_MEASURED else "bold"
        table.add_row(Text(key.label), Text(key.value, style), Text(key.note, "dim"))
    return table


def _clocks(rows: tuple[ClockRow, ...]) -> Table:
    table = _grid()
    for row in rows:
        style = "dim italic" if row.at_s is None else ""
        table.add_row(
            Text(row.label.partition(":")[0]),
            Text(row.clock, style),
            Text(row.since_surge, "dim"),
        )
    return table


def _arrivals(verdict: Verdict) -> Text:
    arrivals = verdict.arrivals
    text = Text(f"{words.number(arrivals.scheduled)} scheduled")
    for name in BUCKETS:
        count = getattr(arrivals, name)
        if count:
            text.append(f"  {name} {words.number(count)}", "" if name == "ok" else "yellow")
    return text


def _alerts(told: AlertStory) -> RenderableType:
    """What they come to, and the first few that fired."""
    if not told.evaluated:
        return Text(told.why, "dim italic")
    table = _grid()
    for row in told.rows[:MOST_ALERTS]:
        table.add_row(Text(row.alert), Text(row.fired or row.state, "bold"), Text(row.lead, "dim"))
    rest = len(told.rows) - MOST_ALERTS
    more = [Text(f"and {rest} more", "dim")] if rest > 0 else []
    return Group(*(Text(sentence) for sentence in told.sentences), table, *more)


def _checks(verdict: Verdict) -> RenderableType:
    """The checks as a table; below it each reason once, with the checks that give it."""
    table = Table.grid(padding=(0, 2), expand=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("", *(Text(head, "dim") for head in ("check", "measured", "expected")))
    reasons: dict[tuple[Outcome, str], list[str]] = {}
    for check in verdict.checks:
        table.add_row(
            Text(MARKS[check.outcome], STYLES[check.outcome]),
            Text(check.id),
            Text(measured_words(check), "bold"),
            Text(check.expected, "dim"),
        )
        if check.why:
            reasons.setdefault((check.outcome, check.why), []).append(check.id)
    told = [
        Text(f"{MARKS[outcome]} {why}", STYLES[outcome]).append(f"  {', '.join(ids)}", "dim")
        for (outcome, why), ids in reasons.items()
    ]
    return Group(table, Text(""), *told) if told else table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2), expand=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table
