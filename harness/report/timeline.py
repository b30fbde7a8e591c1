"""The timeline as it was played, one row a thing that happened."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.recording import TimelineEvent
from harness.report import words
from harness.report.story import Story


@dataclass(frozen=True)
class EventRow:
    """A line of the timeline as it was played; ``end_s`` of something that took a while."""

    t_s: float
    at_s: float
    clock: str
    kind: str
    short: str
    says: str
    end_s: float | None = None


def event_rows(story: Story) -> tuple[EventRow, ...]:
    """The timeline as it was played: beginnings and ends of one thing are one row."""
    rows: list[EventRow] = []
    open_rows: dict[tuple[str, str, str], int] = {}
    for event in story.recording.events:
        if event.kind == "lifecycle" and event.name != "part-died":
            continue
        key = (event.kind, event.name, str(event.detail.get("replica", "")))
        if event.state == "end" and key in open_rows:
            number = open_rows.pop(key)
            rows[number] = replace(rows[number], end_s=event.t_s)
            continue
        if event.state == "begin":
            open_rows[key] = len(rows)
        rows.append(_event_row(story, event))
    return tuple(rows)


def _event_row(story: Story, event: TimelineEvent) -> EventRow:
    detail = event.detail
    at_s = _told_s(story, event)
    short, says = _names(event)
    by = str(detail.get("by", ""))
    return EventRow(
        t_s=event.t_s,
        at_s=at_s,
        clock=words.clock(story.incident, at_s),
        kind="death" if event.kind == "lifecycle" else event.kind,
        short=short,
        says=f"{by}: {says}" if by and says else says or by,
    )


def _told_s(story: Story, event: TimelineEvent) -> float:
    """Incident second of an event. It is told at the instant that the timeline gives it; it was
    played moments later. Later steps of a rollout have no instant of their own in the timeline."""
    told_s, step = event.detail.get("at_s"), event.detail.get("step", 1)
    if isinstance(told_s, int | float) and step == 1:
        return float(told_s)
    return story.timemap.to_incident_s(event.t_s)


def _names(event: TimelineEvent) -> tuple[str, str]:
    """A label for a chart, and a sentence."""
    detail = event.detail
    says = str(detail.get("says", ""))
    if event.kind == "phase":
        rate = detail.get("rate_per_s")
        asked = f"{rate:g}/s" if isinstance(rate, int | float) else "?/s"
        return f"{event.name}: {asked}", f"logins arrive at {asked}"
    if event.kind == "lifecycle":
        return f"{detail.get('part', '?')} died", str(detail.get("why", ""))
    if event.kind == "note":
        return says or event.name, says
    short = f"{event.name} {detail.get('replica', '')}".strip()
    if "before" in detail and "after" in detail:
        says = f"{says} ({detail['before']} → {detail['after']})".strip()
    return f"decoy: {short}" if event.kind == "decoy" else short, says
