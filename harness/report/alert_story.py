"""What the alerts would have done: minutes of lead, minutes saved. Judges nothing itself."""

from __future__ import annotations

from dataclasses import dataclass

from harness import measurements
from harness.recording import AlertTimeline
from harness.report import words
from harness.report.story import Story
from harness.verdicts.alerts import first_harm_s

SYMPTOM = "login"
"""The layer of rules that say that users suffer, not why."""


@dataclass(frozen=True, slots=True)
class AlertRow:
    """A rule that fired, or could not be evaluated, as a line of a table."""

    alert: str
    severity: str
    state: str
    fired: str
    lead: str
    resolved: str
    count: str


@dataclass(frozen=True)
class AlertStory:
    """``sentences``: what they come to. ``rows``: each rule that fired, the first first.

    ``silent``: how many did not. ``evaluated`` is false where no rules were evaluated, and
    ``why`` says what to do about it.
    """

    evaluated: bool
    why: str
    sentences: tuple[str, ...]
    rows: tuple[AlertRow, ...]
    silent: int
    assumptions: str


def alert_story(story: Story) -> AlertStory:
    """The alerts of a recording as every format shows them."""
    timelines = story.recording.alerts
    if timelines is None:
        why = (
            "No rules were evaluated over this run. `pooldrill alerts evaluate RUN` does it; it "
            "needs a Prometheus on PATH."
        )
        return AlertStory(False, why, (), (), 0, "")
    fired = sorted((each for each in timelines if each.firings), key=lambda each: _first_s(each))
    unknown = [each for each in timelines if each.state == "unknown"]
    rows = tuple(_row(story, each) for each in (*fired, *unknown))
    return AlertStory(
        evaluated=True,
        why="",
        sentences=_sentences(story, fired),
        rows=rows,
        silent=sum(each.state == "silent" for each in timelines),
        assumptions=_assumptions(timelines),
    )


def _first_s(timeline: AlertTimeline) -> float:
    return min(firing.fired_s for firing in timeline.firings)


def _row(story: Story, timeline: AlertTimeline) -> AlertRow:
    if not timeline.firings:
        return AlertRow(timeline.alert, timeline.severity, timeline.state, "", "", timeline.why, "")
    first_s, harm_s = _first_s(timeline), first_harm_s(story.verdict.clocks_s)
    ends = [firing.resolved_s for firing in timeline.firings]
    known = [end for end in ends if end is not None]
    still = len(known) < len(ends)
    return AlertRow(
        alert=timeline.alert,
        severity=timeline.severity,
        state=timeline.state,
        fired="before the recording" if first_s < 0 else words.clock(story.incident, first_s),
        lead="" if harm_s is None else _before(harm_s - first_s),
        resolved="still firing" if still else words.clock(story.incident, max(known)),
        count=str(len(timeline.firings)),
    )


def _before(lead_s: float) -> str:
    """How long before the harm, or after it."""
    return f"{words.duration(abs(lead_s))} {'before' if lead_s >= 0 else 'after'}"


def _sentences(story: Story, fired: list[AlertTimeline]) -> tuple[str, ...]:
    pages = [each for each in fired if each.severity == "page"]
    harm_s = first_harm_s(story.verdict.clocks_s)
    if story.incident.kind == "benign":
        if not fired:
            return ("No alert fired, and none should: this is a healthy run.",)
        names = words.listed([each.alert for each in fired])
        return (f"{names} fired on a healthy run: somebody would have been woken for nothing.",)
    if not pages:
        return ("Nobody would have been paged.",)
    first = pages[0]
    told = [f"The first page, {first.alert}, would have gone out {_when(story, first, harm_s)}."]
    named = next((each for each in pages if _layer(each) != SYMPTOM), None)
    fix_s = measurements.first_fix_s(story.recording)
    if named is not None and fix_s is not None:
        saved_s = story.timemap.to_incident_s(fix_s) - _notified_s(named)
        if saved_s > 0:
            told.append(
                f"{named.alert} says where to look. Between its page and the beginning of the fix "
                f"lie {words.duration(saved_s)} that were spent elsewhere: so much could have "
                "been saved."
            )
    return tuple(told)


def _when(story: Story, timeline: AlertTimeline, harm_s: float | None) -> str:
    notified_s = _notified_s(timeline)
    if _first_s(timeline) < 0:
        return "before anything happened, for what it speaks of was there from the beginning"
    at = f"at {words.clock(story.incident, notified_s)}"
    if harm_s is None:
        return at
    return f"{at}, {_before(harm_s - notified_s)} the first user was harmed"


def _notified_s(timeline: AlertTimeline) -> float:
    return max(0.0, _first_s(timeline)) + timeline.group_wait_s


def _layer(timeline: AlertTimeline) -> str:
    return timeline.firings[0].labels.get("layer", "")


def _assumptions(timelines: tuple[AlertTimeline, ...]) -> str:
    if not timelines:
        return ""
    one = timelines[0]
    return (
        f"Evaluated by Prometheus at the incident's length: scraped each {one.scrape_s:g} s, "
        f"evaluated each {one.interval_s:g} s; a notification leaves {one.group_wait_s:g} s after "
        "an alert fires."
    )
